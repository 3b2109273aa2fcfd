import type { Command } from 'commander'
import type { Api } from '../api/api.ts'
import type { PromotedTurn } from '../api/shapes/turns.ts'
import type { ConsumedStaging } from '../api/staging.ts'
import { type Code, codes, messageOf } from '../errors.ts'
import { withLedger } from './context.ts'
import type { Values } from './input.ts'
import { say, table, timeText } from './output.ts'
import { allowEmpty, proposalFrom } from './turn-source.ts'
import { issueLines, promotedLines, stagedLines, turnLines, verdictLines, withIssuesShown } from './turn-text.ts'
import { fromHere } from './values.ts'
import { noun, text, toggle, verb } from './verb.ts'

export function turnCommand(asked?: string): Command {
  const verbs = {
    stage: stageVerb,
    validate: validateVerb,
    promote: promoteVerb,
    reject: rejectVerb,
    apply: applyVerb,
    show: showVerb,
    list: listVerb,
  }
  return noun('turn', verbs, asked, [
    'lockstep turn apply --run run_draft1 --turn turn-0001 --from out/turn-1',
    'lockstep turn list --run run_draft1',
  ])
}

const ofTurn = { manifest_digest: false, run_id: { about: 'the run of the turn', name: 'run' } } as const

/** Where the files of a proposal come from. */
const source = {
  allowEmpty,
  consume: toggle('--consume', 'with --from: remove the staged files and no others'),
  file: text('--file <file>', 'a JSON document with triplets, tombstones and delete_stem; - for stdin'),
  from: text('--from <dir>', 'a directory with <stem>.body.json, .links.json, .manifest.json and .tombstone.json'),
}
const sourceText = 'Without --from and --file, the files are read from .lockstep/staging/<run>/<turn>.'
/** The members that files state, and that no option can. */
const proposed = {
  delete_stem: false,
  issues: false,
  proposal_digest: false,
  tombstones: false,
  triplets: false,
} as const

function stageVerb(): Command {
  return verb('stage', 'turns.stage', {
    errors: ['E_PROMOTION_STAGE_MISSING'],
    flags: { ...ofTurn, ...proposed },
    more: `It replaces an earlier proposal. ${sourceText}`,
    own: source,
    run: async ({ command, given, globals, input }) => {
      const proposal = await proposalFrom(globals, given, input)
      return withLedger(globals, command, (ledger) =>
        withIssuesShown(globals, async () => {
          const answer = await ledger.turns.stage({ ...input, ...proposal })
          return { ...answer, ...(await consumed(ledger, given, input)) }
        }),
      )
    },
    lines: async (staged) => [...stagedLines(staged), ...consumedLines(staged), ...(await issueLines(staged.issues))],
    examples: [
      'lockstep turn stage --run run_draft1 --turn turn-0001 --from out/turn-1',
      'lockstep turn stage --run run_draft1 --turn turn-0002 --from out --consume --guard reports@42',
      'generate | lockstep turn stage --run run_draft1 --turn turn-0003 --file - --json',
    ],
  })
}

function applyVerb(): Command {
  return verb('apply', 'turns.apply', {
    flags: { ...ofTurn, ...proposed, require_staged: false },
    input: requiringStaged,
    more: `It stops at the first refused step. ${sourceText}`,
    own: source,
    run: async ({ command, given, globals, input }) => {
      const proposal = await proposalFrom(globals, given, input)
      return withLedger(globals, command, (ledger) =>
        withIssuesShown(globals, async () => {
          const answer = await withFiles(ledger, await ledger.turns.apply({ ...input, ...proposal }))
          return { ...answer, ...(await consumed(ledger, given, input)) }
        }),
      )
    },
    lines: promotionLines,
    examples: [
      'lockstep turn apply --run run_draft1 --turn turn-0001 --from out/turn-1',
      'lockstep turn apply --run run_draft1 --turn turn-0002 --file turn-2.json --json',
    ],
  })
}

/** The operations promote a turn without content; the command does so only if it is told to. */
function requiringStaged(values: Values, { allowEmpty = false }: { allowEmpty: boolean | undefined }): object {
  return { ...values, require_staged: !allowEmpty }
}

/** A promotion, once the files on disk follow it or cannot for now. */
export async function withFiles(api: Api, promoted: PromotedTurn) {
  return { ...promoted, ...(await api.workspaces.files()) }
}

/** Removes the staged files. The turn is already staged or promoted, so a failed removal is only a warning. */
async function consumed(
  api: Api,
  { consume, from }: { consume: boolean | undefined; from: string | undefined },
  { run_id, turn_id }: { run_id: string; turn_id: string },
): Promise<{ consumed?: ConsumedStaging; warning?: string }> {
  if (!consume || from === undefined) return {}
  try {
    return { consumed: await api.staging.consume({ directory: fromHere(from), run_id, turn_id }) }
  } catch (error) {
    const warning = `the files of ${fromHere(from)} were not removed: ${messageOf(error)}`
    say(`warning: ${warning}`)
    return { warning }
  }
}

export async function promotionLines(
  promoted: PromotedTurn & { consumed?: ConsumedStaging; files: string },
): Promise<string[]> {
  return [
    ...promotedLines(promoted),
    `files ${promoted.files}`,
    ...consumedLines(promoted),
    ...(await issueLines(promoted.issues)),
  ]
}

function consumedLines({ consumed }: { consumed?: ConsumedStaging }): string[] {
  return consumed === undefined ? [] : [`removed ${consumed.files} files, ${consumed.bytes} bytes`]
}

function validateVerb(): Command {
  return verb('validate', 'turns.validate', {
    flags: ofTurn,
    more: 'The exit code is 0 for PASS, and 2 or 5 for FAIL.',
    call: (api, input, { globals }) => withIssuesShown(globals, () => api.turns.validate(input)),
    lines: async (verdict) => [...verdictLines(verdict), ...(await issueLines(verdict.issues))],
    exit: ({ issues, outcome }) => {
      const code = issues.find(({ level }) => level === 'error')?.code ?? 'E_PROMOTION_NOT_VALIDATED'
      return outcome === 'FAIL' ? codes[code as Code].exit : 0
    },
    examples: [
      'lockstep turn validate --run run_draft1 --turn turn-0001',
      'lockstep turn validate --run run_draft1 --turn turn-0001 --json | jq .issues',
    ],
  })
}

function promoteVerb(): Command {
  return verb('promote', 'turns.promote', {
    flags: { ...ofTurn, require_staged: false },
    input: requiringStaged,
    more: 'It also updates the workspace on disk.',
    own: { allowEmpty },
    call: (api, input, { globals }) =>
      withIssuesShown(globals, async () => withFiles(api, await api.turns.promote(input))),
    lines: promotionLines,
    examples: [
      'lockstep turn promote --run run_draft1 --turn turn-0001',
      'lockstep turn promote --run run_draft1 --turn turn-0002 --guard reports@42 --json',
    ],
  })
}

function rejectVerb(): Command {
  return verb('reject', 'turns.reject', {
    flags: ofTurn,
    more: 'The turn can be staged again.',
    lines: turnLines,
    examples: [
      'lockstep turn reject --run run_draft1 --turn turn-0002 --reason "wrong source"',
      'lockstep turn reject --run run_draft1 --turn turn-0002 --reason superseded --json',
    ],
  })
}

function showVerb(): Command {
  return verb('show', 'turns.get', {
    flags: ofTurn,
    lines: async (status) => [...turnLines(status), ...(await issueLines(status.issues))],
    examples: [
      'lockstep turn show --run run_draft1 --turn turn-0001',
      'lockstep turn show --run run_draft1 --turn turn-0001 --json | jq .promotion',
    ],
  })
}

function listVerb(): Command {
  return verb('list', 'turns.list', {
    flags: {
      cursor: { about: 'list earlier turns: the "next" of the page before' },
      limit: { fallback: '100' },
      run_id: { about: 'the run whose turns to list', name: 'run' },
    },
    isLong: true,
    items: ({ turns }) => turns,
    lines: async ({ last_promoted_turn_id, next, phase, turns, workspace }) => {
      const rows = turns.map(({ seq, status, time, turn_id }) => [turn_id, status, timeText(time), String(seq)])
      const text = rows.length === 0 ? ['no turns'] : await table(['TURN', 'STATUS', 'SINCE', 'ENTRY'], rows)
      const more = next === null ? [] : [`earlier turns: --cursor ${next}`]
      return [`${workspace}, ${phase}, last promoted ${last_promoted_turn_id}`, ...text, ...more]
    },
    examples: ['lockstep turn list --run run_draft1', 'lockstep turn list --run run_draft1 --jsonl'],
  })
}
