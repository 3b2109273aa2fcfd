import { resolve } from 'node:path'
import { Command } from 'commander'
import { readConfig } from '../disk/config-file.ts'
import { governingLayout } from '../disk/permissions.ts'
import { turnNumberOf } from '../domain/run/turns.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Ledger } from '../ledger.ts'
import { examples, folderOf, globalsOf, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { readInput } from './input-file.ts'
import { print, say } from './output.ts'
import { progressBar } from './progress.ts'
import { askedFrom, type TurnFlags, withTurn } from './turn-options.ts'
import { issueLines, promotedLines, stagedLines, withIssuesShown } from './turn-text.ts'

interface StageFlags extends TurnFlags {
  consume?: boolean
  file?: string
  from?: string
}

interface ApplyFlags extends StageFlags {
  requireStaged?: boolean
}

export function stageCommand(): Command {
  const command = withSource(
    new Command('stage').description('Stage files as the proposal of a turn. It replaces an earlier proposal.'),
  ).action(async (flags: StageFlags, self: Command) => {
    const globals = globalsOf(self)
    const proposal = await proposalFrom(globals, flags)
    const staged = await withLedger(globals, 'turn stage', (ledger) =>
      withIssuesShown(globals, async () => {
        const answer = await ledger.turns.stage({ ...askedFrom(flags), ...proposal })
        return { ...answer, ...(await consumed(ledger, flags)) }
      }),
    )
    const issues = await issueLines(staged.issues)
    print(globals, staged, () => [...stagedLines(staged), ...consumedLines(staged), ...issues])
  })
  return examples(
    command,
    'lockstep turn stage --run run_draft1 --turn turn-0001 --from out/turn-1',
    'lockstep turn stage --run run_draft1 --turn turn-0002 --from out --consume --guard reports@42',
    'generate | lockstep turn stage --run run_draft1 --turn turn-0003 --file - --json',
  )
}

export function applyCommand(): Command {
  const command = withSource(
    new Command('apply').description(
      'Stage, validate and promote a turn in one command. It stops at the first refused step.',
    ),
  )
    .option('--require-staged', 'refuse a turn that changes nothing')
    .action(async (flags: ApplyFlags, self: Command) => {
      const globals = globalsOf(self)
      const proposal = await proposalFrom(globals, flags)
      const promoted = await withLedger(globals, 'turn apply', (ledger) =>
        withIssuesShown(globals, async () => {
          const asked = { ...askedFrom(flags), ...proposal, require_staged: flags.requireStaged === true }
          const answer = await ledger.turns.apply(asked)
          const files = await ledger.workspaces.files()
          return { ...answer, files, ...(await consumed(ledger, flags)) }
        }),
      )
      const issues = await issueLines(promoted.issues)
      const { files } = promoted
      print(globals, promoted, () => [
        ...promotedLines(promoted),
        `files ${files}`,
        ...consumedLines(promoted),
        ...issues,
      ])
    })
  return examples(
    command,
    'lockstep turn apply --run run_draft1 --turn turn-0001 --from out/turn-1 --require-staged',
    'lockstep turn apply --run run_draft1 --turn turn-0002 --file turn-2.json --json',
  )
}

function withSource(command: Command): Command {
  return withTurn(command)
    .option('--from <dir>', 'a directory with <stem>.body.json, .links.json, .manifest.json and .tombstone.json')
    .option('--file <file>', 'a JSON document with triplets, tombstones and delete_stem; - for stdin')
    .option('--consume', 'with --from: remove the staged files and no others')
    .addHelpText('after', '\nWithout --from and --file, the files are read from .lockstep/staging/<run>/<turn>.')
}

type Proposal = Omit<Parameters<Ledger['turns']['stage']>[0], 'run_id' | 'turn_id'>

/** Reads the proposal before the ledger is opened, so that other processes can use the ledger meanwhile. */
async function proposalFrom(globals: Globals, flags: StageFlags): Promise<Proposal> {
  const { consume, file, from, run, turn } = flags
  if (file !== undefined && from !== undefined)
    throw new LockstepError('INVALID_INPUT', 'specify --from or --file, not both')
  if (consume && from === undefined) throw new LockstepError('INVALID_INPUT', '--consume needs --from')
  if (file !== undefined) return documentIn(file)
  if (from !== undefined) return readDirectory(globals, resolve(from))
  // An invalid turn_id has no staging folder. The ledger refuses it with the right error.
  if (turnNumberOf(turn) === undefined) return {}
  const { stagingFolder } = await import('../files/staging/staging-folder.ts')
  return readDirectory(globals, stagingFolder(governingLayout(folderOf(globals)), run, turn))
}

/** Reads a directory, and shows a progress bar on a terminal. */
export async function readDirectory(globals: Globals, directory: string, isWorkspace = false): Promise<Proposal> {
  const { readStaging } = await import('../files/staging/staging.ts')
  const bounds = readConfig(governingLayout(folderOf(globals)).config).turn_limits
  const bar = await progressBar(globals, 'read')
  try {
    const onProgress = ({ known, read }: { known: number; read: number }) => bar.show(read, known)
    return await readStaging(directory, { bounds, isWorkspace, onProgress })
  } finally {
    bar.stop()
  }
}

/** Reads a proposal from one document, by the same rules as a directory. Errors: INVALID_INPUT, LIMIT_EXCEEDED. */
async function documentIn(file: string): Promise<Proposal> {
  const { jsonIssues, objectFromBytes } = await import('../domain/turn/json-object.ts')
  const read = objectFromBytes(readInput(file, limits.turnBytesMax))
  if ('problems' in read) return { issues: jsonIssues(read.problems, { location: '' }) }
  const { delete_stem, issues: _, tombstones, triplets, ...others } = read.object.value
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw new LockstepError('INVALID_INPUT', `${file} may only have triplets, tombstones and delete_stem, not ${other}`)
  // The library's schema rejects unknown values.
  return {
    ...(delete_stem === undefined ? {} : { delete_stem }),
    ...(tombstones === undefined ? {} : { tombstones }),
    ...(triplets === undefined ? {} : { triplets }),
  } as Proposal
}

/** Removes the staged files. The turn is already staged or promoted, so a failed removal is only a warning. */
async function consumed(ledger: Ledger, { consume, from, run, turn }: StageFlags) {
  if (!consume || from === undefined) return {}
  try {
    return { consumed: await ledger.staging.consume({ directory: resolve(from), run_id: run, turn_id: turn }) }
  } catch (error) {
    const warning = `the files of ${resolve(from)} were not removed: ${messageOf(error)}`
    say(`warning: ${warning}`)
    return { warning }
  }
}

function consumedLines({ consumed }: { consumed?: { bytes: number; files: number } }): string[] {
  return consumed === undefined ? [] : [`removed ${consumed.files} files, ${consumed.bytes} bytes`]
}
