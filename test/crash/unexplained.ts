import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry } from '../../src/kernel/entry.ts'
import { grantsIn } from './lines.ts'

const home = ['claims', 'config.json', 'evidence', 'head', 'key', 'key.pub', 'ledger', 'owner', 'place']
/** What only a ledger made by `lockstep init` has. */
const homeOfInit = [...home, 'policy']
/** Copies of lock files, by their SHA-256. A crash may leave one whose move was not recorded, and no unfinished one. */
const copies = 'aside'
const ofLevel = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:ldb|log))$/
/** What the tests put into a root and into deliverable folders themselves. */
const ofTests = ['_STATUS.md', 'projects', 'runtime']

/** Every file below a root that its ledger does not explain, and every one that it promises and that is not there. */
export function unexplainedIn(root: string, entries: readonly Entry[]): string[] {
  return [...inHome(root), ...inFolders(root, entries), ...inRuns(root, entries)]
}

function inHome(root: string): string[] {
  const at = join(root, '.lockstep')
  const names = readdirSync(at)
  const findings = names
    .filter((name) => ![...homeOfInit, copies].includes(name))
    .map((name) => `.lockstep/${name} is left over`)
  for (const name of home) {
    if (!names.includes(name)) findings.push(`.lockstep/${name} is missing`)
  }
  for (const folder of ['claims', 'evidence']) {
    for (const name of namesIn(join(at, folder))) findings.push(`.lockstep/${folder}/${name} is left over`)
  }
  for (const name of namesIn(join(at, copies))) {
    if (!/^[0-9a-f]{64}$/.test(name)) findings.push(`.lockstep/${copies}/${name} is left over`)
  }
  const strange = namesIn(join(at, 'ledger')).filter((name) => !ofLevel.test(name))
  return [...findings, ...strange.map((name) => `.lockstep/ledger/${name} is not LevelDB's`)]
}

/** Lock files stand where grants are current. A file of another tool may stand where nothing of ours was decided. */
function inFolders(root: string, entries: readonly Entry[]): string[] {
  const { grants } = grantsIn(entries)
  const refs = new Map([...grants.values()].map(({ folder, lock_ref }) => [folder, lock_ref]))
  const findings: string[] = []
  for (const folder of readdirSync(root)) {
    if (folder === '.lockstep' || ofTests.includes(folder)) continue
    if (!/^(?:DEL|KTY)-/.test(folder)) {
      findings.push(`${folder} is left over`)
      continue
    }
    for (const name of readdirSync(join(root, folder))) {
      if (ofTests.includes(name)) continue
      if (name !== '.lock') findings.push(`${folder}/${name} is left over`)
    }
    const content = lockIn(join(root, folder))
    const ref = refs.get(folder)
    if (content === undefined) continue
    if (ref === undefined ? content.ledger !== undefined : content.lock_ref !== ref)
      findings.push(`${folder}/.lock says ${content.lock_ref}, the ledger says ${ref ?? 'free'}`)
    if (ref === undefined && isMoved(content, entries)) findings.push(`${folder}/.lock was moved away and is back`)
  }
  return findings
}

/** Names of current deliverable grants whose file is not there; contention must bring it back. */
export function fileless(root: string, entries: readonly Entry[]): string[] {
  const { grants } = grantsIn(entries)
  return [...grants.values()]
    .filter(({ folder }) => folder !== undefined && !existsSync(join(root, folder, '.lock')))
    .map(({ name }) => name)
}

function lockIn(folder: string): { ledger?: string; lock_ref?: string; holder?: string } | undefined {
  if (!existsSync(join(folder, '.lock'))) return undefined
  try {
    return JSON.parse(readFileSync(join(folder, '.lock'), 'utf8')) as { ledger?: string; lock_ref?: string }
  } catch {
    return { holder: 'unreadable' }
  }
}

function isMoved({ holder }: { holder?: string }, entries: readonly Entry[]): boolean {
  return entries.some(
    ({ data, type }) =>
      (type === 'lock.recovered' && data.previous_holder === holder) ||
      (type === 'lock.file_set_aside' && String(data.content).includes(`"holder":"${holder}"`)),
  )
}

/** RUN_LOCK.json of every run that ever had a project lock says what the log says, byte for byte. */
function inRuns(root: string, entries: readonly Entry[]): string[] {
  const runs = join(root, 'runtime', 'runs')
  const expected = runLocksIn(entries)
  const findings = namesIn(runs)
    .filter((run) => !expected.has(run))
    .map((run) => `${run} has a folder that the ledger does not know`)
  for (const [run, content] of expected) {
    const names = namesIn(join(runs, run))
    const text = names.includes('RUN_LOCK.json') ? readFileSync(join(runs, run, 'RUN_LOCK.json'), 'utf8') : 'nothing'
    if (text !== `${JSON.stringify(content, null, 2)}\n`)
      findings.push(`RUN_LOCK.json of ${run} is ${text}, not ${JSON.stringify(content)}`)
    for (const name of names) if (name !== 'RUN_LOCK.json') findings.push(`${run}/${name} is left over`)
  }
  return findings
}

/** Seed 1's seven members, and three more once released. */
function runLocksIn(entries: readonly Entry[]): Map<string, Record<string, unknown>> {
  const files = new Map<string, Record<string, unknown>>()
  for (const { data, stream, time, type } of entries) {
    if (!stream.startsWith('lock/project:')) continue
    const run = String(data.run_id ?? entries[Number(data.previous_token)]?.data.run_id)
    if (type === 'lock.acquired') {
      files.set(run, {
        status: 'LOCKED',
        target_name: data.target_name,
        run_id: run,
        lock_owner: run,
        lock_time: seconds(String(data.acquired)),
        lock_reason: data.lock_reason,
        release_conditions: data.release_conditions,
      })
    } else if (type === 'lock.released' || type === 'lock.broken') {
      const { released_by = 'BECCA (manual override)', final_status = 'ABORTED' } = data
      files.set(run, { ...files.get(run), status: 'RELEASED', released_at: seconds(time), released_by, final_status })
    }
  }
  return files
}

function seconds(time: string): string {
  return `${time.slice(0, 19)}Z`
}

function namesIn(folder: string): string[] {
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : []
}
