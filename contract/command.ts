import type { Command } from 'commander'
import { program } from '../src/cli/program.ts'
import { generatedPage, table } from './pages.ts'

/** The page of `docs/reference` about the command: every verb with its options, from the same tables as its help. */
export async function commandPage(): Promise<string> {
  const lockstep = await program()
  const nouns = lockstep.commands.map((command) =>
    command.commands.length === 0
      ? verbText(command)
      : `## lockstep ${command.name()}\n\n${command.description()}\n\n${command.commands.map(verbText).join('\n\n')}`,
  )
  return generatedPage(`# The command

${lockstep.description()}
\`--help\` after any command prints what this page has, with examples, and the errors behind each
exit code. [errors.md](errors.md) says what each error code means.

## Options of every command

${optionsTable(lockstep)}

A duration is a number of seconds, or a number with \`s\`, \`m\` or \`h\`. A time is \`1h\` (one hour
ago; also with \`s\`, \`m\`, \`d\` and \`w\`), a date, or a date with a time. Without an offset it is in
the time zone of the machine.

${nouns.join('\n\n')}
`)
}

function verbText(command: Command): string {
  const noun = command.parent?.parent ? `${command.parent.name()} ` : ''
  const heading = noun === '' ? '##' : '###'
  const args = command.registeredArguments.map((one) => [
    code(one.required ? `<${one.name()}>` : `[${one.name()}]`),
    one.description,
  ])
  const parts = [
    `${heading} lockstep ${noun}${command.name()}`,
    command.description(),
    code(`lockstep ${noun}${command.name()} ${command.usage()}`),
    args.length === 0 ? '' : table(['argument', 'meaning'], args.map(row)),
    optionsTable(command),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

function optionsTable({ options }: Command): string {
  if (options.length === 0) return ''
  const rows = options.map(({ description, flags, mandatory }) => [
    code(flags),
    `${description}${mandatory ? ' (required)' : ''}`,
  ])
  return table(['option', 'meaning'], rows.map(row))
}

const code = (text: string) => `\`${text}\``
const row = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
