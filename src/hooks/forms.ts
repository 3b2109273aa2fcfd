/** The harnesses whose hooks Lockstep serves, by the last word of the route. */
export const harnessNames = ['claude', 'codex', 'cursor', 'gemini'] as const
export type HarnessName = (typeof harnessNames)[number]

/** What the harness is told. Nothing is told where it shall go on as if there was no hook. */
export type Reply =
  /** The tool does not run, and the model reads why. */
  | { kind: 'deny'; text: string }
  /** The model reads it. */
  | { kind: 'tell'; text: string }
  /** The person at the harness reads it. */
  | { kind: 'note'; text: string }

/** The forms in which a harness takes replies. This module imports nothing, so it does not slow down a hook. */
interface Forms {
  /** The event before a tool, the only one at which a call can be denied. */
  before: string
  deny: (text: string) => object
  /** The events at which the model can be told something, and the form. */
  telling: readonly string[]
  tell: (event: string, text: string) => object
  /** Undefined if the harness has no form for it: then it goes to stderr. */
  note: ((text: string) => object) | undefined
}

const tellShaped = (hookEventName: string, additionalContext: string) => ({
  hookSpecificOutput: { hookEventName, additionalContext },
})
const denyShaped = (permissionDecisionReason: string) => ({
  hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason },
})
const noteShaped = (systemMessage: string) => ({ systemMessage })

const forms: Readonly<Record<HarnessName, Forms>> = {
  claude: {
    before: 'PreToolUse',
    deny: denyShaped,
    telling: ['PostToolUse', 'PostToolUseFailure', 'SessionStart'],
    tell: tellShaped,
    note: noteShaped,
  },
  // Codex ignores a whole answer for one unknown member.
  codex: {
    before: 'PreToolUse',
    deny: denyShaped,
    telling: ['PostToolUse', 'SessionStart'],
    tell: tellShaped,
    note: noteShaped,
  },
  cursor: {
    before: 'preToolUse',
    deny: (agent_message) => ({ permission: 'deny', agent_message }),
    telling: ['postToolUse', 'sessionStart'],
    tell: (_, additional_context) => ({ additional_context }),
    // Before a tool Cursor takes no note without a permission, and "allow" would skip the user's own question.
    note: undefined,
  },
  gemini: {
    before: 'BeforeTool',
    deny: (reason) => ({ decision: 'deny', reason }),
    telling: ['AfterTool', 'SessionStart'],
    tell: tellShaped,
    note: noteShaped,
  },
}

/** The document for stdout; undefined if the harness takes no such reply at this event. */
export function written(harness: HarnessName, event: string, { kind, text }: Reply): object | undefined {
  const { before, deny, note, tell, telling } = forms[harness]
  if (kind === 'note') return note?.(text)
  if (kind === 'deny') return event === before ? deny(text) : undefined
  return telling.includes(event) ? tell(event, text) : undefined
}

/** Whether a call of a tool can be denied at this event. */
export function isBefore(harness: HarnessName, event: string): boolean {
  return forms[harness].before === event
}
