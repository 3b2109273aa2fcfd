import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openLedger } from '../../src/open.ts'
import { compiled } from './compiled.ts'
import { temporaryRoot, testActor } from './ledger.ts'

/** A process that keeps a ledger open and appends to it all the time. */
export interface Owner {
  root: string
  /** The size that it acknowledged last. */
  acknowledged: () => number
  /** Lets it close the ledger, and waits for its end. */
  end: () => Promise<void>
  kill: () => Promise<void>
}

interface OwnerOptions {
  /** How many entries it appends before anything else. */
  first?: number
  entriesPerAppend?: number
  /** How long the notes in each entry are: long ones fill LevelDB's memory soon, so that it compacts often. */
  notesChars?: number
}

/** Starts such a process on a new ledger. It has appended for the first time when this resolves. */
export async function startOwner({
  entriesPerAppend = 5,
  first = 0,
  notesChars = 10,
}: OwnerOptions = {}): Promise<Owner> {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  const words = [root, first, entriesPerAppend, notesChars].map(String)
  const child = spawn(process.execPath, [compiled('fixtures/beside/owner.ts'), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  const size = () => Number(text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1))
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-100)
  })
  const ended = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), ended])
  if (child.exitCode !== null) throw new Error(`the owner ended with ${child.exitCode}`)
  const end = async () => {
    child.stdin.end()
    const [status] = await ended
    if (status !== 0) throw new Error(`the owner ended with ${status}`)
  }
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { root, acknowledged: size, end, kill }
}
