import type { HarnessName } from '../hooks/forms.ts'

/** Where a harness keeps its hooks, and which events Lockstep wants. */
interface Place {
  /** What people call the harness. */
  title: string
  /** The settings below a project's folder. */
  project: string
  /** The settings below the harness's folder of the user, and where that folder is. */
  user: string
  folder: string
  folderVariable?: string
  events: readonly string[]
  /** How a hook of one event stands in the settings. */
  entry: (event: string, command: string, isEnforced: boolean) => object
  /** What an empty file of settings has. */
  empty?: Readonly<Record<string, unknown>>
  /** What is left to do for the user. */
  next?: string
}

const timeoutSeconds = 20
const grouped = (hook: object) => ({ hooks: [hook] })

/** The settings of every harness. Claude Code, Codex and Gemini CLI have groups of hooks for each event. */
export const places: Readonly<Record<HarnessName, Place>> = {
  claude: {
    title: 'Claude Code',
    // The command names files of this machine, so it is not in the settings that a team shares.
    project: '.claude/settings.local.json',
    user: 'settings.json',
    folder: '.claude',
    folderVariable: 'CLAUDE_CONFIG_DIR',
    events: ['PreToolUse', 'PostToolUse', 'PostToolUseFailure', 'SessionStart', 'SessionEnd', 'SubagentStop'],
    entry: (event, command, isEnforced) => {
      const closed = isEnforced && event === 'PreToolUse' ? { onFailure: 'block' } : {}
      return grouped({ type: 'command', command, timeout: timeoutSeconds, ...closed })
    },
  },
  codex: {
    title: 'Codex',
    project: '.codex/hooks.json',
    user: 'hooks.json',
    folder: '.codex',
    folderVariable: 'CODEX_HOME',
    events: ['PreToolUse', 'PostToolUse', 'SessionStart', 'SubagentStop'],
    entry: (_, command) => grouped({ type: 'command', command, timeout: timeoutSeconds }),
    next: 'Codex runs a new hook only after you trusted it: enter /hooks in Codex.',
  },
  cursor: {
    title: 'Cursor',
    project: '.cursor/hooks.json',
    user: 'hooks.json',
    folder: '.cursor',
    events: ['preToolUse', 'postToolUse', 'postToolUseFailure', 'sessionStart', 'sessionEnd', 'subagentStop'],
    entry: (event, command, isEnforced) => {
      const closed = isEnforced && event === 'preToolUse' ? { failClosed: true } : {}
      return { command, timeout: timeoutSeconds, ...closed }
    },
    empty: { version: 1 },
  },
  gemini: {
    title: 'Gemini CLI',
    project: '.gemini/settings.json',
    user: 'settings.json',
    folder: '.gemini',
    events: ['BeforeTool', 'AfterTool', 'SessionStart', 'SessionEnd'],
    entry: (event, command) =>
      grouped({ type: 'command', name: `lockstep ${event}`, command, timeout: timeoutSeconds * 1000 }),
  },
}

/** The files that a hook's command names. */
export interface Programs {
  node: string
  script: string
}

/** The command of a hook, for a shell. */
function commandOf(
  harness: HarnessName,
  event: string,
  { isEnforced, node, script }: Programs & { isEnforced: boolean },
): string {
  return `/bin/sh ${word(script)} ${harness} ${isEnforced ? 'enforce' : 'warn'} ${event} ${word(node)}`
}

const word = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

const ours = /\/hook\.sh' (claude|codex|cursor|gemini) (enforce|warn) (\w+) '/

/** A hook of Lockstep in the settings. */
export interface Installed {
  command: string
  event: string
  mode: string
}

type Settings = Readonly<Record<string, unknown>>

/** The hooks of Lockstep in the settings of a harness. */
export function installedIn(settings: Settings): Installed[] {
  return commandsIn(settings.hooks).flatMap((command) => {
    const [, , mode, event] = ours.exec(command) ?? []
    return mode === undefined || event === undefined ? [] : [{ command, event, mode }]
  })
}

function commandsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  const { command } = value as { command?: unknown }
  return [...(typeof command === 'string' ? [command] : []), ...Object.values(value).flatMap(commandsIn)]
}

/** The settings with the hooks of Lockstep, each once, behind the user's own. */
export function withHooks(
  harness: HarnessName,
  settings: Settings,
  programs: Programs & { isEnforced: boolean },
): Settings {
  const { empty = {}, entry, events } = places[harness]
  const others = withoutHooks(settings)
  const hooks: Record<string, unknown> = { ...Object(others.hooks) }
  for (const event of events) {
    const before = hooks[event]
    const command = commandOf(harness, event, programs)
    hooks[event] = [...(Array.isArray(before) ? before : []), entry(event, command, programs.isEnforced)]
  }
  return { ...empty, ...others, hooks }
}

/** The settings without the hooks of Lockstep, and without the lists that only they were in. */
export function withoutHooks(settings: Settings): Settings {
  const { hooks, ...others } = settings
  if (typeof hooks !== 'object' || hooks === null) return settings
  const kept = Object.entries(hooks).flatMap(([event, entries]): [string, unknown][] => {
    if (!Array.isArray(entries)) return [[event, entries]]
    const left = entries.flatMap((entry) => withoutOurs(entry))
    return left.length === 0 && entries.length > 0 ? [] : [[event, left]]
  })
  return kept.length === 0 ? others : { ...others, hooks: Object.fromEntries(kept) }
}

/** A hook or a group of hooks without what is Lockstep's. */
function withoutOurs(entry: unknown): unknown[] {
  const { command, hooks } = Object(entry) as { command?: unknown; hooks?: unknown }
  if (typeof command === 'string' && ours.test(command)) return []
  if (!Array.isArray(hooks)) return [entry]
  const left = hooks.flatMap(withoutOurs)
  if (left.length === hooks.length) return [entry]
  return left.length === 0 ? [] : [{ ...(entry as object), hooks: left }]
}

/** Whether settings have nothing in them but what every file of the harness has. */
export function isEmpty(harness: HarnessName, settings: Settings): boolean {
  return Object.keys(settings).every((key) => Object.hasOwn(places[harness].empty ?? {}, key))
}
