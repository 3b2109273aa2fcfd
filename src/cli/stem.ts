import { realpathSync } from 'node:fs'
import { Command } from 'commander'
import type { ShownStem } from '../api/shapes/workspaces.ts'
import { fileError } from '../disk/durable.ts'
import type { Triplet } from '../domain/turn/triplet.ts'
import { LockstepError } from '../errors.ts'
import { printable } from '../kernel/printable.ts'
import type { Ledger } from '../ledger.ts'
import { askLedger, examples, globalsOf, withLedger, withSnapshot } from './context.ts'
import { print, table, writeOut } from './output.ts'
import { askedFrom, type TurnFlags } from './turn-options.ts'
import { readDirectory } from './turn-stage.ts'
import { counted, issueLines, promotedLines, withIssuesShown } from './turn-text.ts'

export function stemCommand(): Command {
  const stem = new Command('stem').description(
    'Read, import and check the promoted state of a workspace, and the links between its stems.',
  )
  for (const verb of [listCommand, showCommand, importCommand, checkCommand]) stem.addCommand(verb())
  return examples(stem, 'lockstep stem list --run run_draft1', 'lockstep stem show pages/home --workflow site --json')
}

interface OfWorkspace {
  run?: string
  workflow?: string
}

function withWorkspace(command: Command): Command {
  return command
    .option(
      '--run <run_id>',
      'the workspace of this run, or of its workflow if it has one; required unless --workflow is given',
    )
    .option('--workflow <workflow_id>', 'the workspace of this workflow; required unless --run is given')
}

/** Errors: INVALID_INPUT. */
function workspaceFrom({ run, workflow }: OfWorkspace): Parameters<Ledger['workspaces']['triplets']>[0] {
  if (run !== undefined && workflow === undefined) return { run_id: run }
  if (workflow !== undefined && run === undefined) return { workflow_id: workflow }
  throw new LockstepError('INVALID_INPUT', 'specify either --run or --workflow')
}

interface ListFlags extends OfWorkspace {
  jsonl?: boolean
  under?: string
}

function listCommand(): Command {
  const command = withWorkspace(new Command('list').description('List all promoted stems in order.'))
    .option('--under <prefix>', 'only stems that begin with this prefix, such as pages/')
    .option('--jsonl', 'print one JSON line per stem')
    .action(async (flags: ListFlags, self: Command) => {
      const globals = globalsOf(self)
      const asked = workspaceFrom(flags)
      const isAsked = ({ stem }: Triplet) => stem.startsWith(flags.under ?? '')
      if (flags.jsonl) {
        await withSnapshot(globals, 'stem list', async (ledger) => {
          for await (const triplet of ledger.workspaces.triplets(asked))
            if (isAsked(triplet)) writeOut(`${JSON.stringify(triplet)}\n`)
        })
        return
      }
      const stems = await askLedger(globals, 'stem list', async (ledger) => {
        const stems: Triplet[] = []
        for await (const triplet of ledger.workspaces.triplets(asked)) if (isAsked(triplet)) stems.push(triplet)
        return stems
      })
      const rows = stems.map(({ body_digest, dto_type, id, run_id, stem, updated_at_turn }) => [
        printable(stem),
        dto_type === null ? '' : printable(`${dto_type} ${id}`),
        updated_at_turn,
        run_id,
        body_digest.slice(0, 12),
      ])
      const text = rows.length === 0 ? 'no stems' : await table(['STEM', 'IDENTITY', 'TURN', 'RUN', 'BODY'], rows)
      print(globals, { stems }, () => text)
    })
  return examples(
    command,
    'lockstep stem list --run run_draft1',
    'lockstep stem list --workflow site --under pages/ --jsonl | jq .stem',
  )
}

function showCommand(): Command {
  const command = withWorkspace(
    new Command('show').description('Print the body, links and manifest of a stem, and the links that point to it.'),
  )
    .argument('<stem>', 'the name of the stem')
    .action(async (stem: string, flags: OfWorkspace, self: Command) => {
      const globals = globalsOf(self)
      const asked = { ...workspaceFrom(flags), stem }
      const shown = await askLedger(globals, 'stem show', (ledger) => ledger.workspaces.stem(asked))
      print(globals, shown, () => shownLines(shown))
    })
  return examples(
    command,
    'lockstep stem show pages/home --run run_draft1',
    'lockstep stem show pages/home --workflow site --json | jq .body',
  )
}

function shownLines({ body, links, manifest, referenced_by, triplet }: ShownStem): string[] {
  const { body_digest, dto_type, id, run_id, stem, updated_at_turn } = triplet
  const of = dto_type === null ? 'no identity' : printable(`${dto_type} ${id}`)
  const parts = Object.entries({ body, links, manifest }).map(
    ([part, value]) => `${part} ${printable(JSON.stringify(value))}`,
  )
  return [
    `${printable(stem)} (${of}) since ${updated_at_turn} of ${run_id}`,
    `body digest ${body_digest}`,
    ...parts,
    referenced_by.length === 0 ? 'no links point to it' : `${counted(referenced_by.length, 'link')} to it:`,
    ...referenced_by.map(({ location, stem }) => `  ${printable(`${stem}${location}`)}`),
  ]
}

interface ImportFlags extends Omit<TurnFlags, 'turn'> {
  turn: string
}

function importCommand(): Command {
  const command = new Command('import')
    .description(
      'Import existing committed state as the first turn of a run. File names become stems again, and the index is rebuilt.',
    )
    .argument('<dir>', 'the tree of a workspace: <stem>.body.json, .links.json and .manifest.json, and _index')
    .requiredOption('--run <run_id>', 'the run that imports the state')
    .option('--turn <turn_id>', 'the turn to create', 'turn-0001')
    .option('--guard <name@token>', 'import only if this grant of the lock is current')
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
    .action(async (directory: string, flags: ImportFlags, self: Command) => {
      const globals = globalsOf(self)
      const proposal = await readDirectory(globals, placeOf(directory), true)
      const promoted = await withLedger(globals, 'stem import', (ledger) =>
        withIssuesShown(globals, async () => {
          const answer = await ledger.turns.apply({ ...askedFrom(flags), ...proposal, require_staged: true })
          return { ...answer, ...(await ledger.workspaces.files()) }
        }),
      )
      const issues = await issueLines(promoted.issues)
      print(globals, promoted, () => [...promotedLines(promoted), `files ${promoted.files}`, ...issues])
    })
  return examples(
    command,
    'lockstep stem import ../other/workspace/run/run_draft1/current --run run_draft2',
    'lockstep stem import ~/old/committed --run run_draft1 --guard reports@42 --json',
  )
}

/** The real path of a directory, because `current` is a symbolic link. Errors: NOT_FOUND, FILE_DENIED. */
function placeOf(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (error) {
    throw fileError(error, `reading ${directory}`)
  }
}

interface CheckFlags extends OfWorkspace {
  rebuild?: boolean
}

function checkCommand(): Command {
  const command = withWorkspace(
    new Command('check').description(
      'Compare the workspace on disk with the ledger. The exit code is 6 if they differ.',
    ),
  )
    .option('--rebuild', 'first rebuild the workspace from the ledger alone')
    .action(async (flags: CheckFlags, self: Command) => {
      const globals = globalsOf(self)
      const asked = { ...workspaceFrom(flags), rebuild: flags.rebuild === true }
      const checked = await withLedger(globals, 'stem check', (ledger) => ledger.workspaces.check(asked))
      print(globals, checked, () => [`${checked.folder}: ${counted(checked.files, 'file')}, equal to the ledger`])
    })
  return examples(command, 'lockstep stem check --run run_draft1', 'lockstep stem check --workflow site --rebuild')
}
