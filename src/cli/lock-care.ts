import { Command } from 'commander'
import { type Code, codes, LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger.ts'
import { examples, globalsOf, withLedger } from './context.ts'
import { statusLines } from './lock-text.ts'
import { print } from './output.ts'

export function recoverCommand(): Command {
  const command = new Command('recover')
    .description('End an orphaned lock: its lease has expired or its holder is dead. A live holder’s lock is refused.')
    .argument('<name>', 'the name of the lock')
    .requiredOption('--reason <text>', 'the reason to record')
    .option('--folder <dir>', 'the folder of the deliverable’s lock file, if the ledger does not know it')
    .option('--dry-run', 'print the evidence and the verdict without changing anything')
    .action(async (name: string, options: { reason: string; folder?: string; dryRun?: boolean }, self: Command) => {
      const globals = globalsOf(self)
      const { dryRun = false, folder, reason } = options
      const request = { name, reason, dry_run: dryRun, ...(folder === undefined ? {} : { folder }) }
      const recovered = await withLedger(globals, 'lock recover', (ledger) => ledger.locks.recover(request))
      print(globals, recovered, () => {
        if (recovered.status === undefined)
          return `recovered ${name} from ${recovered.previous_holder}: ${recovered.recovery_reason}`
        const verdict =
          recovered.recovery_reason === null
            ? 'would be refused: it is not an orphan'
            : `would be recovered: ${recovered.recovery_reason}`
        return [...statusLines(recovered.status), verdict]
      })
    })
  return examples(
    command,
    'lockstep lock recover deliverable:DEL-08-05 --reason "agent host was replaced" --dry-run',
    'lockstep lock recover reports --reason "agent crashed"',
  )
}

export function breakCommand(): Command {
  const command = new Command('break')
    .description(
      'End a valid grant, which makes its token stale. Only the release authority or an operator may do this.',
    )
    .argument('<name>', 'the name of the lock')
    .requiredOption('--reason <text>', 'the reason to record')
    .action(async (name: string, { reason }: { reason: string }, self: Command) => {
      const globals = globalsOf(self)
      const broken = await withLedger(globals, 'lock break', (ledger) => ledger.locks.break({ name, reason }))
      print(
        globals,
        broken,
        () => `broke ${name}: ${broken.previous_holder} held it with token ${broken.previous_token}`,
      )
    })
  return examples(
    command,
    'lockstep lock break reports --reason "agent-7 hangs, approved by Ann"',
    'lockstep --actor BECCA lock break project:ACME/SITE/shop --reason "rolled back"',
  )
}

export function retireCommand(): Command {
  const command = new Command('retire')
    .description('Retire a deliverable’s lock before its folder is moved, archived or deleted.')
    .requiredOption('--folder <dir>', 'the deliverable folder')
    .option('--reason <text>', 'the reason to record')
    .action(async ({ folder, reason }: { folder: string; reason?: string }, self: Command) => {
      const globals = globalsOf(self)
      const request = { folder, ...(reason === undefined ? {} : { reason }) }
      const retired = await withLedger(globals, 'lock retire', (ledger) => ledger.locks.retire(request))
      print(
        globals,
        retired,
        () =>
          `retired ${retired.name}${retired.recovered ? ', recovering an orphan' : ''}; ${retired.folder} can now be moved`,
      )
    })
  return examples(
    command,
    'lockstep lock retire --folder packages/DEL-08-05_Lock',
    'lockstep lock retire --folder DEL-01-02_Old --reason archived',
  )
}

interface Imported {
  file: string
  seq: number
  type: string
}

type ImportRequest = { reason?: string; set_aside: boolean }

async function importOne(ledger: Ledger, request: ImportRequest & { file: string }): Promise<Imported> {
  const { seq, type } = await ledger.locks.importFile(request)
  return { file: request.file, seq, type }
}

/** Imports each file separately, so that a refused file does not stop the others. */
async function importAll(ledger: Ledger, request: ImportRequest) {
  const imported: Imported[] = []
  const refused: { file: string; code: Code; message: string }[] = []
  for (const file of await ledger.locks.unknownFiles()) {
    try {
      imported.push(await importOne(ledger, { file, ...request }))
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'LEDGER_UNAVAILABLE') throw error
      refused.push({ file, code: error.code, message: error.message })
    }
  }
  return { imported, refused }
}

export function importCommand(): Command {
  const command = new Command('import')
    .description('Import an existing RUN_LOCK.json or all of them, or set aside a file that blocks a project.')
    .argument('[file]', 'the RUN_LOCK.json to import')
    .option('--all', 'import all LOCKED files below the root that the ledger does not know')
    .option(
      '--set-aside <file>',
      'move this file aside instead; needs --reason; only the release authority may do this',
    )
    .option('--reason <text>', 'the reason to record')
    .action(
      async (
        file: string | undefined,
        options: { all?: boolean; setAside?: string; reason?: string },
        self: Command,
      ) => {
        const globals = globalsOf(self)
        const ways = [file, options.setAside, options.all].filter((way) => way !== undefined)
        if (ways.length !== 1)
          throw new LockstepError('INVALID_INPUT', 'specify one of: a file, --all, --set-aside FILE')
        const { all = false, reason, setAside } = options
        const request = { set_aside: setAside !== undefined, ...(reason === undefined ? {} : { reason }) }
        const { imported, refused } = await withLedger(globals, 'lock import', async (ledger) =>
          all
            ? importAll(ledger, request)
            : { imported: [await importOne(ledger, { file: file ?? setAside ?? '', ...request })], refused: [] },
        )
        print(globals, { imported, ...(all ? { refused } : {}) }, () => [
          ...(imported.length + refused.length === 0 ? ['nothing to import'] : []),
          ...imported.map((one) => `${one.seq} ${one.type} ${one.file}`),
          ...refused.map((one) => `${one.code} ${one.file}: ${one.message}`),
        ])
        const [first] = refused
        if (first !== undefined) process.exitCode = codes[first.code].exit
      },
    )
  return examples(
    command,
    'lockstep lock import runtime/runs/run_ACME_shop_2026-02-02_001/RUN_LOCK.json',
    'lockstep --actor BECCA lock import --set-aside runtime/runs/old/RUN_LOCK.json --reason "run was lost"',
  )
}
