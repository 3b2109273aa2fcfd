import type { StageTurn } from '../api/shapes/turns.ts'
import { governingLayout } from '../disk/permissions.ts'
import { turnNumberOf } from '../domain/run/turns.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { folderOf } from './context.ts'
import type { Globals } from './globals.ts'
import { readInput } from './input-file.ts'
import { progressBar } from './progress.ts'
import { fromHere } from './values.ts'
import { toggle } from './verb.ts'

type Proposal = Omit<StageTurn, 'run_id' | 'turn_id'>

/** A wrong path looks like an empty turn, and a promotion cannot be undone. */
export const allowEmpty = toggle('--allow-empty', 'accept a turn that changes nothing')

interface Source {
  allowEmpty: boolean | undefined
  consume: boolean | undefined
  file: string | undefined
  from: string | undefined
}

/**
 * Reads the proposal before the ledger is opened, so that other processes can use the ledger meanwhile. Errors:
 * E_PROMOTION_STAGE_MISSING (the proposal is empty, and that is not allowed).
 */
export async function proposalFrom(
  globals: Globals,
  source: Source,
  turn: { run_id: string; turn_id: string },
): Promise<Proposal> {
  // An invalid turn_id has no staging folder. The ledger refuses it with the right error.
  const isTurn = turnNumberOf(turn.turn_id) !== undefined
  const proposal = await readSource(globals, source, isTurn ? turn : undefined)
  const { delete_stem = [], issues = [], tombstones = [], triplets = [] } = proposal
  const isEmpty = [delete_stem, issues, tombstones, triplets].every((list) => list.length === 0)
  if (!isEmpty || source.allowEmpty || !isTurn) return proposal
  throw new LockstepError('E_PROMOTION_STAGE_MISSING', `nothing to stage for ${turn.turn_id} of ${turn.run_id}`, {
    details: { run_id: turn.run_id, turn_id: turn.turn_id },
    hint: 'Check the path of the files. With --allow-empty the turn changes nothing and still counts.',
  })
}

async function readSource(
  globals: Globals,
  { consume, file, from }: Source,
  turn: { run_id: string; turn_id: string } | undefined,
): Promise<Proposal> {
  if (file !== undefined && from !== undefined)
    throw new LockstepError('INVALID_INPUT', 'specify --from or --file, not both')
  if (consume && from === undefined) throw new LockstepError('INVALID_INPUT', '--consume needs --from')
  if (file !== undefined) return documentIn(file)
  if (from !== undefined) return readDirectory(globals, fromHere(from))
  if (turn === undefined) return {}
  const { stagingFolder } = await import('../files/staging/staging-folder.ts')
  return readDirectory(globals, stagingFolder(governingLayout(folderOf(globals)), turn.run_id, turn.turn_id))
}

/** Reads a directory, and shows a progress bar on a terminal. */
export async function readDirectory(globals: Globals, directory: string, isWorkspace = false): Promise<Proposal> {
  const { readStaging } = await import('../files/staging/staging.ts')
  // The ledger applies the limits that are in force. Nothing larger can be in force than these.
  const { turnBytes, turnBytesMax, turnRefsMaxMax, turnStemsMaxMax } = limits
  const bounds = { object_bytes: turnBytes, refs: turnRefsMaxMax, stems: turnStemsMaxMax, turn_bytes: turnBytesMax }
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
  // The operation's schema rejects unknown values.
  return {
    ...(delete_stem === undefined ? {} : { delete_stem }),
    ...(tombstones === undefined ? {} : { tombstones }),
    ...(triplets === undefined ? {} : { triplets }),
  } as Proposal
}
