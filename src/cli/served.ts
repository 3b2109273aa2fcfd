import { runCommand } from './command.ts'
import { folderOf } from './context.ts'
import { wordsOf } from './program.ts'
import { isServed } from './service.ts'

/** The commands that this bundle has in full, without the verbs that need more than the service. */
const quick: Readonly<Record<string, readonly string[]>> = {
  consistency: [],
  head: [],
  lock: ['check-edits', 'run'],
  prove: [],
  run: ['exec'],
}

/**
 * Runs a command of one call over the service of its folder. Resolves with undefined, before anything is read or done,
 * if no service answers or the command needs more than that: then the whole program runs it.
 */
export async function runServed(argv: readonly string[]): Promise<number | undefined> {
  const [noun = '', verb = ''] = wordsOf(argv)
  const others = Object.hasOwn(quick, noun) ? quick[noun] : undefined
  if (others === undefined || others.includes(verb)) return undefined
  return (await isServed(folderOf({ dir: dirIn(argv) }))) ? runCommand(argv) : undefined
}

function dirIn(argv: readonly string[]): string | undefined {
  const at = argv.findIndex((word) => word === '--dir' || word.startsWith('--dir='))
  const [word = '', next] = at === -1 ? [] : argv.slice(at)
  return word.startsWith('--dir=') ? word.slice('--dir='.length) : next
}
