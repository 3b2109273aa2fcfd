import { Command } from 'commander'
import { type Code, codes } from '../errors.ts'
import { askLedger, examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import { print, relativeTime, table, writeOut } from './output.ts'
import { askedFrom, type TurnFlags, withTurn } from './turn-options.ts'
import { applyCommand, stageCommand } from './turn-stage.ts'
import { issueLines, promotedLines, turnLines, verdictLines, withIssuesShown } from './turn-text.ts'

export function turnCommand(): Command {
  const turn = new Command('turn').description(
    'Stage, validate and promote the turns of a run: atomic, ordered publishing of JSON state.',
  )
  const verbs = [stageCommand, validateCommand, promoteCommand, rejectCommand, applyCommand, showCommand, listCommand]
  for (const verb of verbs) turn.addCommand(verb())
  return examples(
    turn,
    'lockstep turn apply --run run_draft1 --turn turn-0001 --from out/turn-1 --require-staged',
    'lockstep turn list --run run_draft1',
  )
}

function validateCommand(): Command {
  const command = withTurn(
    new Command('validate').description(
      'Validate a staged turn against the promoted state. The exit code is 0 for PASS, and 2 or 5 for FAIL.',
    ),
  ).action(async (flags: TurnFlags, self: Command) => {
    const globals = globalsOf(self)
    const verdict = await withLedger(globals, 'turn validate', (ledger) =>
      withIssuesShown(globals, () => ledger.turns.validate(askedFrom(flags))),
    )
    const issues = await issueLines(verdict.issues)
    print(globals, verdict, () => [...verdictLines(verdict), ...issues])
    if (verdict.outcome === 'FAIL')
      process.exitCode = exitOf(verdict.issues.find(({ level }) => level === 'error')?.code)
  })
  return examples(
    command,
    'lockstep turn validate --run run_draft1 --turn turn-0001',
    'lockstep turn validate --run run_draft1 --turn turn-0001 --json | jq .issues',
  )
}

/** The exit code of an issue. */
function exitOf(code: string | undefined): number {
  return codes[(code ?? 'E_PROMOTION_NOT_VALIDATED') as Code].exit
}

interface PromoteFlags extends TurnFlags {
  requireStaged?: boolean
}

function promoteCommand(): Command {
  const command = withTurn(
    new Command('promote').description(
      'Promote a staged and validated turn atomically, and update the workspace on disk.',
    ),
  )
    .option('--require-staged', 'refuse a turn for which nothing is staged')
    .action(async (flags: PromoteFlags, self: Command) => {
      const globals = globalsOf(self)
      const promoted = await withLedger(globals, 'turn promote', (ledger) =>
        withIssuesShown(globals, async () => {
          const asked = { ...askedFrom(flags), require_staged: flags.requireStaged === true }
          const answer = await ledger.turns.promote(asked)
          return { ...answer, ...(await ledger.workspaces.files()) }
        }),
      )
      const issues = await issueLines(promoted.issues)
      print(globals, promoted, () => [...promotedLines(promoted), `files ${promoted.files}`, ...issues])
    })
  return examples(
    command,
    'lockstep turn promote --run run_draft1 --turn turn-0001',
    'lockstep turn promote --run run_draft1 --turn turn-0002 --guard reports@42 --require-staged --json',
  )
}

interface RejectFlags extends TurnFlags {
  reason: string
}

function rejectCommand(): Command {
  const command = withTurn(new Command('reject').description('Reject a staged turn. It can be staged again.'))
    .requiredOption('--reason <text>', 'the reason to record')
    .action(async (flags: RejectFlags, self: Command) => {
      const globals = globalsOf(self)
      const asked = { ...askedFrom(flags), reason: flags.reason }
      const status = await withLedger(globals, 'turn reject', (ledger) => ledger.turns.reject(asked))
      print(globals, status, () => turnLines(status))
    })
  return examples(
    command,
    'lockstep turn reject --run run_draft1 --turn turn-0002 --reason "wrong source"',
    'lockstep turn reject --run run_draft1 --turn turn-0002 --reason superseded --json',
  )
}

function showCommand(): Command {
  const command = new Command('show')
    .description('Print the status of a turn, its changes and its issues.')
    .requiredOption('--run <run_id>', 'the run of the turn')
    .requiredOption('--turn <turn_id>', 'the turn, such as turn-0001')
    .action(async ({ run, turn }: Pick<TurnFlags, 'run' | 'turn'>, self: Command) => {
      const globals = globalsOf(self)
      const asked = { run_id: run, turn_id: turn }
      const status = await withLedger(globals, 'turn show', async (ledger) => ledger.turns.get(asked))
      const issues = await issueLines(status.issues)
      print(globals, status, () => [...turnLines(status), ...issues])
    })
  return examples(
    command,
    'lockstep turn show --run run_draft1 --turn turn-0001',
    'lockstep turn show --run run_draft1 --turn turn-0001 --json | jq .promotion',
  )
}

interface ListFlags {
  cursor?: number
  jsonl?: boolean
  limit: number
  run: string
}

function listCommand(): Command {
  const command = new Command('list')
    .description('List the latest turns of a run in order. A turn in progress is last.')
    .requiredOption('--run <run_id>', 'the run whose turns to list')
    .option('--limit <n>', 'the maximum number of turns to list', wholeNumber, 100)
    .option('--cursor <seq>', 'list earlier turns: the "next" of the page before', wholeNumber)
    .option('--jsonl', 'print one JSON line per turn')
    .action(async ({ cursor, jsonl, limit, run }: ListFlags, self: Command) => {
      const globals = globalsOf(self)
      const asked = { cursor, limit, run_id: run }
      const listing = await askLedger(globals, 'turn list', async (ledger) => ledger.turns.list(asked))
      if (jsonl) {
        for (const turn of listing.turns) writeOut(`${JSON.stringify(turn)}\n`)
        return
      }
      const { last_promoted_turn_id, next, phase, turns, workspace } = listing
      const rows = turns.map(({ seq, status, time, turn_id }) => [turn_id, status, relativeTime(time), String(seq)])
      const text = rows.length === 0 ? 'no turns' : await table(['TURN', 'STATUS', 'SINCE', 'ENTRY'], rows)
      const more = next === null ? [] : [`earlier turns: --cursor ${next}`]
      print(globals, listing, () => [`${workspace}, ${phase}, last promoted ${last_promoted_turn_id}`, text, ...more])
    })
  return examples(command, 'lockstep turn list --run run_draft1', 'lockstep turn list --run run_draft1 --jsonl')
}
