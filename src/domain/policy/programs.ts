import type { Action } from './action.ts'
import type { Failed } from './checks.ts'
import type { Program } from './command.ts'
import { type Lane, standsFor } from './policy.ts'

type Binding = NonNullable<Lane['allowed_actions']['commands']>[number]

/** The folders that only the system's administrator writes. A program without a folder in a policy is in one of them. */
const systemFolders = ['/bin', '/sbin', '/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin']

/** The rule of the programs that a lane binds a tool to; undefined if it does not bind this tool. */
export function programRule(lane: Lane, action: Pick<Action, 'action_type' | 'target'>): string | undefined {
  return bindingsOf(lane, action).length === 0 ? undefined : `lane:${lane.lane_id}/commands`
}

/** Part of check 5: a tool that the lane binds to programs runs one of them, with the arguments that stand there. */
export function* checkProgram(lane: Lane, action: Action): Generator<Failed> {
  const rule = programRule(lane, action)
  if (rule === undefined) return
  const { argv, program } = action.command ?? {}
  if (argv === undefined || program === undefined) {
    yield { reason: 'not_permitted', rule, missing: 'command' }
  } else if (!bindingsOf(lane, action).some((binding) => isBound(binding, argv.slice(1), program))) {
    yield { reason: 'not_permitted', rule }
  }
}

function bindingsOf({ allowed_actions }: Lane, { action_type, target }: Pick<Action, 'action_type' | 'target'>) {
  if (action_type !== 'tool_call') return []
  return (allowed_actions.commands ?? []).filter(({ tool }) => standsFor(tool, target.name))
}

function isBound({ args, program }: Binding, words: readonly string[], { found, real }: Program): boolean {
  // A program of several names does what its name says, so a link of another name is another program.
  const paths = nameOf(real) === nameOf(found) ? [found, real] : [found]
  return paths.some((path) => isProgram(program, path)) && areArguments(args, words)
}

function isProgram(listed: string, path: string): boolean {
  if (listed.startsWith('/')) return begins(listed, path)
  return systemFolders.includes(path.slice(0, path.lastIndexOf('/'))) && begins(listed, nameOf(path))
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1)

function areArguments(listed: readonly string[], words: readonly string[]): boolean {
  const isOpen = listed.at(-1) === '**'
  const fixed = isOpen ? listed.slice(0, -1) : listed
  const isLength = isOpen ? words.length >= fixed.length : words.length === fixed.length
  return isLength && fixed.every((one, index) => begins(one, words[index] ?? ''))
}

/** Whether a text is the listed one, or begins with what stands before its `*`. */
function begins(listed: string, text: string): boolean {
  return listed.endsWith('*') ? text.startsWith(listed.slice(0, -1)) : text === listed
}
