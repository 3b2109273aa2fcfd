import type { Command } from 'commander'
import type { Api } from '../api/api.ts'
import type { EndedLock, ImportedFile } from '../api/shapes/locks.ts'
import { type Code, codes, LockstepError } from '../errors.ts'
import { statusLines } from './lock-text.ts'
import { fromHere } from './values.ts'
import { text, toggle, verb } from './verb.ts'

export function recoverVerb(): Command {
  return verb('recover', 'locks.recover', {
    arguments: ['name'],
    more: 'A lock is an orphan if its lease has expired or its holder is dead. A live holder’s lock is refused.',
    lines: recoveredLines,
    examples: [
      'lockstep lock recover deliverable:DEL-08-05 --reason "agent host was replaced" --dry-run',
      'lockstep lock recover reports --reason "agent crashed"',
    ],
  })
}

function recoveredLines({ aside, name, previous_holder, recovery_reason, status }: EndedLock): string[] {
  if (status === undefined) {
    const kept = aside === undefined ? [] : [`the file is kept as ${aside}`]
    return [`recovered ${name} from ${previous_holder}: ${recovery_reason}`, ...kept]
  }
  const verdict =
    recovery_reason === null ? 'would be refused: it is not an orphan' : `would be recovered: ${recovery_reason}`
  return [...statusLines(status), verdict]
}

export function breakVerb(): Command {
  return verb('break', 'locks.break', {
    arguments: ['name'],
    more: 'Its token becomes stale. A lock file of another tool is moved aside, and its bytes are kept. Only the release authority or an operator may do this; the lock of a project, only the release authority.',
    lines: brokenLines,
    examples: [
      'lockstep lock break --folder packages/DEL-08-05_Lock --reason "other-tool hangs, approved by Ann"',
      'lockstep lock break reports --reason "agent-7 hangs, approved by Ann"',
      'lockstep --actor BECCA lock break project:ACME/SITE/shop --reason "rolled back"',
    ],
  })
}

function brokenLines({ aside, name, previous_holder, previous_token }: EndedLock): string {
  return aside === undefined
    ? `broke ${name}: ${previous_holder} held it with token ${previous_token}`
    : `broke ${name}: the lock file of ${previous_holder} is kept as ${aside}`
}

export function retireVerb(): Command {
  return verb('retire', 'locks.retire', {
    lines: ({ folder, name, recovered }) =>
      `retired ${name}${recovered ? ', recovering an orphan' : ''}; ${folder} can now be moved`,
    examples: [
      'lockstep lock retire --folder packages/DEL-08-05_Lock',
      'lockstep lock retire --folder DEL-01-02_Old --reason archived',
    ],
  })
}

type Imported = Omit<ImportedFile, 'replayed'> & { file: string }
interface Refused {
  code: Code
  file: string
  message: string
}
/** With --all, some files can be refused. */
interface ImportedFiles {
  imported: Imported[]
  refused?: Refused[]
}

export function importVerb(): Command {
  return verb('import', 'locks.importFile', {
    flags: { file: false, set_aside: false },
    own: {
      all: toggle(
        '--all',
        'import all LOCKED files below the root that the ledger does not know, and name those that cannot be imported',
      ),
      file: text('[file]', 'the RUN_LOCK.json to import'),
      setAside: text('--set-aside <file>', 'move this file aside instead; needs --reason and the release authority'),
    },
    input: (values, { all, file, setAside }) => {
      if ([all, file, setAside].filter((way) => way !== undefined).length !== 1)
        throw new LockstepError('INVALID_INPUT', 'specify exactly one of these: FILE, --all, --set-aside')
      // With --all, the files are known only when the ledger is open.
      return { ...values, file: fromHere(file ?? setAside ?? '.'), set_aside: setAside !== undefined }
    },
    call: async (api, input, { given }): Promise<ImportedFiles> => {
      if (given.all) return importAll(api, input)
      const { seq, type } = await api.locks.importFile(input)
      return { imported: [{ file: given.file ?? given.setAside ?? '', seq, type }] }
    },
    lines: ({ imported, refused = [] }) => [
      ...(imported.length + refused.length === 0 ? ['nothing to import'] : []),
      ...imported.map(({ file, seq, type }) => `${seq} ${type} ${file}`),
      ...refused.map(({ code, file, message }) => `${code} ${file}: ${message}`),
    ],
    exit: ({ refused = [] }) => (refused[0] === undefined ? 0 : codes[refused[0].code].exit),
    examples: [
      'lockstep lock import runtime/runs/run_ACME_shop_2026-02-02_001/RUN_LOCK.json',
      'lockstep --actor BECCA lock import --set-aside runtime/runs/old/RUN_LOCK.json --reason "run was lost"',
    ],
  })
}

/** Imports each file separately, so that a refused file does not stop the others. */
async function importAll({ locks }: Api, request: { file: string }): Promise<ImportedFiles> {
  const imported: Imported[] = []
  const refused: Refused[] = []
  const { files } = await locks.unknownFiles()
  for (const file of files) {
    try {
      const { seq, type } = await locks.importFile({ ...request, file })
      imported.push({ file, seq, type })
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'LEDGER_UNAVAILABLE') throw error
      refused.push({ file, code: error.code, message: error.message })
    }
  }
  return { imported, refused }
}
