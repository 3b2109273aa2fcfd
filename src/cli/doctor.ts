import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { readEngineFile } from '../disk/engine-file.ts'
import { findLayout, type Layout, layoutOf } from '../disk/layout.ts'
import { areModesAccepted, demandSecure } from '../disk/permissions.ts'
import { leaseClock, thisMachine } from '../disk/process.ts'
import { lockFileName } from '../domain/lock/lock-file.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { hold } from '../lease.ts'
import type { LocalLedger } from '../ledger.ts'
import { Guard } from '../log/level/owner/guard.ts'
import { acceptingHead, acceptMissingHead } from './accept-head.ts'
import { clockAheadText } from './clock-ahead.ts'
import { configFinding } from './config.ts'
import { folderOf, serviceOf, withOpenLedger } from './context.ts'
import { fileSystemFinding } from './doctor-disk.ts'
import { engineFinding } from './doctor-engine.ts'
import { hooksFinding } from './doctor-hooks.ts'
import { keyFinding } from './doctor-key.ts'
import type { Globals } from './globals.ts'
import { coloursOn, print } from './output.ts'
import { repairLedger } from './repair.ts'
import { local, toggle } from './verb.ts'
import { Warning } from './warning.ts'

type Outcome = 'fail' | 'ok' | 'warn'

/** One line of the doctor's report. */
interface Finding {
  check: string
  outcome: Outcome
  finding: string
}

const freeBytesMin = 256 * 1024 * 1024

export function doctorVerb(): Command {
  return local('doctor', 'Checks that locks work in this environment.', {
    more: 'It checks permissions, key, clock, file system and disk, and makes a real acquire and release.',
    own: {
      ...acceptingHead,
      repair: toggle(
        '--repair',
        'restore a database that was kept as evidence and verifies, if the current one does not',
      ),
    },
    run: async ({ given, globals }) => {
      if (given.repair) return repairLedger(globals)
      if (given.acceptMissingHead) await acceptMissingHead(globals, given.reason)
      const findings = await examine(globals)
      const failed = findings.filter(({ outcome }) => outcome === 'fail')
      if (failed.length === 0 || !globals.json) {
        print(globals, { ok: true, findings }, () => findings.map(findingLine), painted)
      }
      if (failed.length === 0) return
      const names = failed.map((one) => one.check).join(', ')
      throw new LockstepError('DOCTOR_FAILED', `${failed.length} of ${findings.length} checks failed: ${names}`, {
        details: { findings },
      })
    },
    examples: ['lockstep doctor', 'lockstep doctor --repair', 'lockstep doctor --json --dir ~/work/fleet'],
  })
}

const marks = { fail: 'FAIL', ok: 'ok  ', warn: 'warn' }
function findingLine({ check, finding, outcome }: Finding): string {
  return `${marks[outcome]} ${check.padEnd(22)} ${finding}`
}

function painted(line: string): string {
  const colors = coloursOn(1)
  const paint = line.startsWith(marks.fail) ? colors.red : line.startsWith(marks.ok) ? colors.green : colors.yellow
  return `${paint(line.slice(0, 4))}${line.slice(4)}`
}

async function examine(globals: Globals): Promise<Finding[]> {
  const layout = findLayout(folderOf(globals))
  const findings = [
    await check('root', () => layout.root),
    await check('permissions', () => permissions(layout)),
    await check('key', () => keyFinding(layout, globals)),
    await check('configuration', () => configFinding(globals)),
    await check('clock', () => clock(thisMachine().boot_id, leaseClock().boot_ms)),
    await check('file system', () => fileSystemFinding(layout)),
    await check('case', () => caseOf(layout)),
    await check('disk space', () => diskSpace(layout)),
    await check('sync latency', () => syncLatency(layout)),
    await check('exclusion', () => exclusion(layout)),
    await check('engine', () => engineFinding(layout)),
    await check('ledger', () => ledgerIn(globals)),
    await check('acquire and release', () => selfTest(layout)),
    await check('hooks', () => hooksFinding(layout.root)),
  ]
  if (process.platform !== 'linux')
    findings.push({ check: 'platform', outcome: 'warn', finding: `${process.platform} is tested only by this report` })
  return findings
}

/** Runs one check. A thrown Warning becomes a warning, and any other error a failure. */
async function check(name: string, look: () => string | Promise<string>): Promise<Finding> {
  try {
    return { check: name, outcome: 'ok', finding: await look() }
  } catch (error) {
    return { check: name, outcome: error instanceof Warning ? 'warn' : 'fail', finding: messageOf(error) }
  }
}

function permissions(layout: Layout): string {
  const { mode, uid } = statSync(layout.home)
  try {
    demandSecure(layout)
  } catch (error) {
    throw error instanceof LockstepError && error.hint !== undefined
      ? new Error(`${error.message}. ${error.hint}`)
      : error
  }
  if ((mode & 0o077) !== 0 && areModesAccepted(layout))
    throw new Warning(
      'this disk stores no file modes, which the configuration accepts: everyone with access can change the ledger',
    )
  return `only uid ${uid} has access to .lockstep`
}

function clock(bootId: string | null, bootMillis: number): string {
  if (bootId === null) throw new Warning('this machine has no boot id, so leases fall back to the wall clock')
  return `boot ${bootId.slice(0, 8)}, up ${Math.floor(bootMillis / 60_000)} min, wall clock ${new Date().toISOString()}`
}

async function ledgerIn(globals: Globals): Promise<string> {
  const served = await serviceOf(globals)
  if (served === undefined) return withOpenLedger(globals, 'doctor', entriesIn, 'query')
  return `a service has it open, with ${(await served.head.get()).size} entries`
}

async function entriesIn(ledger: LocalLedger): Promise<string> {
  const aheadSeconds = await ledger.clockAheadSeconds()
  const text = `opens, with ${(await ledger.head.get()).size} entries`
  if (aheadSeconds !== undefined) throw new Warning(`${text}; ${clockAheadText(aheadSeconds)}`)
  return text
}

function caseOf(layout: Layout): string {
  return inScratch(layout, (scratch) => {
    writeFileSync(join(scratch, 'case'), '')
    const isInsensitive = statSync(join(scratch, 'CASE'), { throwIfNoEntry: false }) !== undefined
    if (isInsensitive)
      throw new Warning('names that differ only in case are the same file here, so ".LOCK" would be the lock file')
    return 'names that differ only in case are different files'
  })
}

function diskSpace({ root }: Layout): string {
  const { bavail, bsize } = statfsSync(root)
  const free = bavail * bsize
  const text = `${(free / 2 ** 30).toFixed(1)} GiB free`
  if (free < freeBytesMin) throw new Warning(`${text}: a full disk stops the ledger`)
  return text
}

function syncLatency(layout: Layout): string {
  return inScratch(layout, (scratch) => {
    const rounds = 20
    const started = performance.now()
    for (let round = 0; round < rounds; round += 1)
      writeFileSync(join(scratch, 'sync'), 'x'.repeat(4096), { flush: true })
    const millis = (performance.now() - started) / rounds
    const text = `${millis.toFixed(2)} ms per sync`
    if (millis > 50) throw new Warning(`${text}: every grant waits for a sync`)
    return text
  })
}

/** Finds what excludes a second process besides LevelDB's own lock, which is lost when a program reads its file. */
async function exclusion(layout: Layout): Promise<string> {
  if (readEngineFile(layout) !== undefined) return 'the writer’s seat in the database'
  const scratch = mkdtempSync(join(layout.home, 'doctor-'))
  try {
    // If another process has the ledger open, a scratch folder shows which exclusion works here.
    const guard =
      (await Guard.take(layout)) ?? (await Guard.take({ ...layoutOf(scratch), key: layout.key, ledger: scratch }))
    guard?.release()
    switch (guard?.exclusion) {
      case 'name':
        return 'a socket name, which only one process per network namespace can hold, and LevelDB’s lock'
      case 'file':
        return 'a locked file, and LevelDB’s lock'
      case 'stranger':
        throw new Warning('a process without the ledger’s key holds its socket name; that process is ignored')
      default:
        throw new Warning(
          'no socket name is available here; a program that reads ledger/LOCK lets a second process open the ledger',
        )
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Acquires, contends and releases a deliverable in a complete scratch ledger on the same file system. */
async function selfTest(layout: Layout): Promise<string> {
  const { openLedger } = await import('../open.ts')
  const scratch = mkdtempSync(join(layout.home, 'doctor-'))
  try {
    const folder = join(scratch, 'DEL-00-00_doctor')
    const lock = join(folder, lockFileName)
    mkdirSync(folder)
    const ledger = await openLedger({
      dir: scratch,
      create: true,
      nested: true,
      policy: false,
      accept_permissions: true,
      command: 'lockstep doctor',
    })
    try {
      const lease = await hold(ledger, { folder, holder: 'doctor' })
      const second = await hold(ledger, { folder, holder: 'second doctor' }).catch((error: unknown) => error)
      if (!(second instanceof LockstepError) || second.code !== 'LOCK_CONTENTION')
        throw new Error('a second acquire was not refused')
      if (!readFileSync(lock, 'utf8').includes(lease.lock_ref))
        throw new Error('the lock file does not name the holder')
      await lease.release()
      if (statSync(lock, { throwIfNoEntry: false }) !== undefined) throw new Error('the lock file was not removed')
      await ledger.log.verify()
    } finally {
      await ledger.close()
    }
    return 'a deliverable was acquired, contended, released and verified'
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function inScratch(layout: Layout, look: (scratch: string) => string): string {
  const scratch = mkdtempSync(join(layout.home, 'doctor-'))
  try {
    return look(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
