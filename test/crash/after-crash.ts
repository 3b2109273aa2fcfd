import { join } from 'node:path'
import { type Answer, type Ask, caller, put } from '../../fixtures/crash/asks.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { OpenLedgerOptions } from '../../src/open.ts'
import { lockRefOf } from '../../src/writer/core.ts'
import { type Asked, type CurrentGrant, grantsIn, missingFrom } from './lines.ts'
import { fileless, unexplainedIn } from './unexplained.ts'

export interface Scene {
  root: string
  /** Everything that was asked of this root so far. */
  asked: readonly Asked[]
  openLedger: (options: OpenLedgerOptions) => Promise<LocalLedger>
}

/**
 * Looks at a root whose writer was killed, as its next user meets it, and returns all that is wrong: it opens and
 * verifies, holds what was acknowledged, leaves no file unexplained, gives a repeated request one answer, and
 * whatever the dead held can be had at once.
 */
export async function findingsAfterCrash({ root, asked, openLedger }: Scene): Promise<string[]> {
  const findings: string[] = []
  const ledger = await openLedger({ dir: root, actor: caller, open_wait_s: 20, command: 'after the crash' })
  try {
    await ledger.log.verify()
    const met = await entriesOf(ledger)
    findings.push(...grantsIn(met).findings)
    for (const each of asked) findings.push(...(missingFrom(met, each) ?? []))
    findings.push(...unexplainedIn(root, met).map((finding) => `after opening: ${finding}`))
    for (const each of asked) {
      if (each.answer === undefined && each.refused === undefined)
        findings.push(...(await retryFindings(ledger, met, each.ask)))
    }
    findings.push(...(await takeoverFindings(ledger, root)))
    await ledger.log.verify()
  } finally {
    await ledger.close()
  }
  const again = await openLedger({ dir: root, actor: caller })
  const left = await entriesOf(again)
  await again.close()
  return [...findings, ...unexplainedIn(root, left).map((finding) => `at the end: ${finding}`)]
}

async function entriesOf(ledger: LocalLedger): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read()) entries.push(entry)
  return entries
}

/** A request whose answer was lost, put twice more: it finds what it did, and the second time says the same. */
async function retryFindings(ledger: LocalLedger, met: readonly Entry[], ask: Ask): Promise<string[]> {
  const first = await outcomeOf(ledger, ask)
  const second = await outcomeOf(ledger, ask)
  const text = JSON.stringify({ ask, first, second })
  if ('broken' in first || 'broken' in second) return [`a retry broke: ${text}`]
  const recorded = recordedOf(met, ask)
  if (recorded !== undefined && !('code' in first) && !isSameAnswer(first, recorded))
    return [`a retry did not find what it had done at ${recorded}: ${text}`]
  if (recorded !== undefined && 'code' in first) return [`a retry of what was done is refused: ${text}`]
  const isOnce = ask.do === 'acquire' || ask.do === 'audit' || (ask.do === 'release' && 'lock_id' in ask)
  if (!isOnce || 'code' in first) return []
  const isSame = !('code' in second) && second.replayed === true && sameFacts(first, second)
  return isSame ? [] : [`a second retry was answered otherwise: ${text}`]
}

type Outcome = Answer | { code: string } | { broken: string }

/** Only refusals that a caller can be told are answers; a defect is none. */
async function outcomeOf(ledger: LocalLedger, ask: Ask): Promise<Outcome> {
  try {
    return await put(ledger, ask)
  } catch (error) {
    const code = (error as Partial<LockstepError>).code ?? ''
    const isAnswer = code !== '' && !['INVARIANT_VIOLATED', 'LEDGER_CORRUPT', 'LEDGER_UNAVAILABLE'].includes(code)
    return isAnswer ? { code } : { broken: String(error) }
  }
}

/** The seq at which the log already holds what was asked for, where a request is known by its id. */
function recordedOf(met: readonly Entry[], ask: Ask): number | undefined {
  const isOfAsk = ({ data, request, type }: Entry) => {
    switch (ask.do) {
      case 'acquire':
        if ('run_id' in ask) return false
        return type === 'lock.acquired' && data.lock_ref === lockRefOf(ask.lock_id)
      case 'audit':
        return request?.key === ask.key
      default:
        return false
    }
  }
  return met.find(isOfAsk)?.seq
}

function isSameAnswer({ replayed, seqs, token }: Answer, seq: number): boolean {
  return replayed === true && (token ?? seqs?.[0]) === seq
}

function sameFacts(first: Answer, second: Answer): boolean {
  const facts = ({ name, seqs, token }: Answer) => JSON.stringify({ name, seqs, token })
  return facts(first) === facts(second)
}

/**
 * Everybody who held something is gone or asked to give way: a dead holder's lock is had at once; a living one's
 * is contention, with its file in place.
 */
async function takeoverFindings(ledger: LocalLedger, root: string): Promise<string[]> {
  const findings: string[] = []
  const entries = await entriesOf(ledger)
  for (const grant of grantsIn(entries).grants.values()) {
    if (grant.run_id !== undefined) continue
    const lock_id = `lck_takeover-of-${String(grant.token).padStart(8, '0')}`
    const place = grant.folder === undefined ? { name: grant.name } : { folder: join(root, grant.folder) }
    const outcome = await outcomeOf(ledger, { do: 'acquire', ...place, lock_id })
    const isHeld = grant.pids.some(isRunning)
    if (isHeld) findings.push(...(await heldFindings(ledger, root, { grant, outcome })))
    else if (!('token' in outcome)) findings.push(`${grant.name} of a dead holder cannot be had: ${show(outcome)}`)
    else await put(ledger, { do: 'release', lock_id })
  }
  return findings
}

async function heldFindings(
  ledger: LocalLedger,
  root: string,
  { grant, outcome }: { grant: CurrentGrant; outcome: Outcome },
): Promise<string[]> {
  const isContention = 'code' in outcome && outcome.code === 'LOCK_CONTENTION'
  const findings = isContention ? [] : [`${grant.name} of a living holder was given away: ${show(outcome)}`]
  if (fileless(root, await entriesOf(ledger)).includes(grant.name))
    findings.push(`contention did not bring back the file of ${grant.name}`)
  if (grant.lock_ref !== undefined)
    await ledger.locks.break({ actor: authorityOf(ledger), name: grant.name, reason: 'the test is over' })
  return findings
}

function authorityOf(ledger: LocalLedger) {
  return { actor_id: ledger.settings.release_authority, actor_type: 'human' } as const
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function show(value: unknown): string {
  return JSON.stringify(value)
}
