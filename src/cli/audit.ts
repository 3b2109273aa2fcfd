import { Command } from 'commander'
import { appendCommand } from './audit-append.ts'
import { listCommand, tailCommand } from './audit-list.ts'
import { examples } from './context.ts'

export function auditCommand(): Command {
  const audit = new Command('audit').description(
    'Append audit events, and read the entries of the ledger as audit events.',
  )
  audit.addCommand(appendCommand())
  audit.addCommand(listCommand())
  audit.addCommand(tailCommand())
  return examples(
    audit,
    'lockstep audit append --outcome success --reason "nightly backup"',
    'lockstep audit list --lock reports --json',
  )
}
