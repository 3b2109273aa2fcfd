import { realpathSync } from 'node:fs'
import type { Command } from 'commander'
import type { Api } from '../api/api.ts'
import type {
  DigestOfRun,
  DigestOfWorkflow,
  ShownStem,
  WorkspaceOfRun,
  WorkspaceOfWorkflow,
} from '../api/shapes/workspaces.ts'
import { fileError } from '../disk/durable.ts'
import type { Triplet } from '../domain/turn/triplet.ts'
import { LockstepError } from '../errors.ts'
import { askLedger, withLedger, withSnapshot } from './context.ts'
import { table, writeOut } from './output.ts'
import { pinsVerb, pinVerb, unpinVerb } from './stem-pin.ts'
import { promotionLines, withFiles } from './turn.ts'
import { readDirectory } from './turn-source.ts'
import { counted, withIssuesShown } from './turn-text.ts'
import { count, noun, text, toggle, verb } from './verb.ts'

export function stemCommand(asked?: string): Command {
  const verbs = {
    list: listVerb,
    show: showVerb,
    import: importVerb,
    check: checkVerb,
    digest: digestVerb,
    pin: pinVerb,
    unpin: unpinVerb,
    pins: pinsVerb,
  }
  return noun('stem', verbs, asked, [
    'lockstep stem list --run run_draft1',
    'lockstep stem show pages/home --workflow site --json',
  ])
}

const ofWorkspace = {
  run_id: { about: 'the workspace of this run, or of its workflow if it has one', name: 'run' },
  workflow_id: { about: 'the workspace of this workflow' },
}

/** Which stems of a workspace a list has. */
interface Page {
  cursor: string | undefined
  limit: number | undefined
  under: string | undefined
}

function listVerb(): Command {
  return verb('list', 'workspaces.triplets', {
    flags: ofWorkspace,
    own: {
      cursor: text('--cursor <stem>', 'list the stems after this one; the page before prints it as "more"'),
      jsonl: toggle('--jsonl', 'print one JSON line per stem'),
      limit: count('--limit <n>', 'the most stems to list (default: all)'),
      under: text('--under <prefix>', 'only stems that begin with this prefix, such as pages/'),
    },
    run: async ({ command, given, globals, input }) => {
      if (given.jsonl) {
        await withSnapshot(globals, command, async (ledger) => {
          for await (const triplet of pageOf(ledger, input, given)) writeOut(`${JSON.stringify(triplet)}\n`)
        })
        return undefined
      }
      return askLedger(globals, command, async (ledger) => {
        const limit = given.limit ?? Number.POSITIVE_INFINITY
        const stems: Triplet[] = []
        for await (const triplet of pageOf(ledger, input, { ...given, limit: limit + 1 })) stems.push(triplet)
        const isMore = stems.length > limit
        const page = isMore ? stems.slice(0, limit) : stems
        return { next: isMore ? (page.at(-1)?.stem ?? null) : null, stems: page }
      })
    },
    lines: (listed) => (listed === undefined ? [] : listLines(listed)),
    examples: [
      'lockstep stem list --run run_draft1',
      'lockstep stem list --workflow site --under pages/ --jsonl | jq .stem',
    ],
  })
}

async function* pageOf(api: Api, of: WorkspaceOfRun | WorkspaceOfWorkflow, { cursor, limit, under = '' }: Page) {
  let left = limit ?? Number.POSITIVE_INFINITY
  for await (const triplet of api.workspaces.triplets(of)) {
    if (left <= 0) return
    if (!triplet.stem.startsWith(under) || (cursor !== undefined && triplet.stem <= cursor)) continue
    left -= 1
    yield triplet
  }
}

async function listLines({ next, stems }: { next: string | null; stems: readonly Triplet[] }): Promise<string[]> {
  if (stems.length === 0) return ['no stems']
  const rows = stems.map(({ body_digest, dto_type, id, run_id, stem, updated_at_turn }) => [
    stem,
    dto_type === null ? '' : `${dto_type} ${id}`,
    updated_at_turn,
    run_id,
    body_digest.slice(0, 12),
  ])
  const more = next === null ? [] : [`more: --cursor ${next}`]
  return [...(await table(['STEM', 'IDENTITY', 'TURN', 'RUN', 'BODY'], rows)), ...more]
}

function showVerb(): Command {
  return verb('show', 'workspaces.stem', {
    arguments: ['stem'],
    flags: ofWorkspace,
    isLong: true,
    lines: shownLines,
    examples: [
      'lockstep stem show pages/home --run run_draft1',
      'lockstep stem show pages/home --workflow site --json | jq .body',
    ],
  })
}

function shownLines({ body, links, manifest, referenced_by, triplet, triplet_digest }: ShownStem): string[] {
  const { body_digest, dto_type, id, run_id, stem, updated_at_turn } = triplet
  const parts = Object.entries({ body, links, manifest }).map(([part, value]) => `${part} ${JSON.stringify(value)}`)
  return [
    `${stem} (${dto_type === null ? 'no identity' : `${dto_type} ${id}`}) since ${updated_at_turn} of ${run_id}`,
    `body digest ${body_digest}`,
    `triplet digest ${triplet_digest}`,
    ...parts,
    referenced_by.length === 0 ? 'no links point to it' : `${counted(referenced_by.length, 'link')} to it:`,
    ...referenced_by.map(({ location, stem }) => `  ${stem}${location}`),
  ]
}

function importVerb(): Command {
  return verb('import', 'turns.apply', {
    about: 'Imports existing committed state as the first turn of a run.',
    flags: {
      delete_stem: false,
      issues: false,
      proposal_digest: false,
      require_staged: false,
      run_id: { about: 'the run that imports the state', name: 'run' },
      tombstones: false,
      triplets: false,
      turn_id: { about: 'the turn to create', fallback: 'turn-0001' },
    },
    more: 'File names become stems again, and the index is rebuilt.',
    own: {
      dir: text('<dir>', 'the tree of a workspace: <stem>.body.json, .links.json and .manifest.json, and _index'),
    },
    run: async ({ command, given, globals, input }) => {
      const proposal = await readDirectory(globals, placeOf(given.dir ?? '.'), true)
      return withLedger(globals, command, (ledger) =>
        withIssuesShown(globals, async () => {
          return withFiles(ledger, await ledger.turns.apply({ ...input, ...proposal, require_staged: true }))
        }),
      )
    },
    lines: promotionLines,
    examples: [
      'lockstep stem import ../other/workspace/run/run_draft1/current --run run_draft2',
      'lockstep stem import ~/old/committed --run run_draft1 --guard reports@42 --json',
    ],
  })
}

/** The real path of a directory, because `current` is a symbolic link. Errors: NOT_FOUND, FILE_DENIED. */
function placeOf(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (error) {
    throw fileError(error, `reading ${directory}`)
  }
}

function checkVerb(): Command {
  return verb('check', 'workspaces.check', {
    flags: { ...ofWorkspace, rebuild: { about: 'first rebuild the workspace from the ledger alone' } },
    more: 'The exit code is 6 if they differ.',
    lines: ({ files, folder }) => `${folder}: ${counted(files, 'file')}, equal to the ledger`,
    examples: ['lockstep stem check --run run_draft1', 'lockstep stem check --workflow site --rebuild'],
  })
}

function digestVerb(): Command {
  return verb('digest', 'workspaces.digest', {
    flags: {
      ...ofWorkspace,
      at: { about: 'the state after the first entries of the ledger, this many', name: 'size' },
    },
    isLong: true,
    more: 'Two ledgers with the same promoted state print the same digest.',
    own: { turn: text('--at <turn>', 'with --run: the state after this promoted turn of the run') },
    call: async (api, input, { given: { turn } }) => {
      if (turn === undefined) return api.workspaces.digest(input)
      return api.workspaces.digest({ ...input, at: (await promotionOf(api, input, turn)) + 1 })
    },
    lines: ({ size, state_digest, workspace }) => [
      state_digest,
      `${workspace}, after ${counted(size, 'entry', 'entries')}`,
    ],
    examples: ['lockstep stem digest --run run_draft1 --at turn-0002', 'lockstep stem digest --workflow site --json'],
  })
}

/** The seq of the promotion of a turn. Errors: INVALID_INPUT, NOT_FOUND. */
async function promotionOf(api: Api, input: DigestOfRun | DigestOfWorkflow, turn_id: string): Promise<number> {
  if (!('run_id' in input) || input.at !== undefined)
    throw new LockstepError('INVALID_INPUT', '--at needs --run, and excludes --size')
  const { seq, status } = await api.turns.get({ run_id: input.run_id, turn_id })
  if (status === 'promoted') return seq
  throw new LockstepError('NOT_FOUND', `${turn_id} of ${input.run_id} is ${status}, not promoted`, {
    details: { status, turn_id },
  })
}
