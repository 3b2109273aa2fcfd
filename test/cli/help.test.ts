import type { Command } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { program } from '../../src/cli/program.ts'

const help = suite('help')

/** Every command, nouns as well, with the words that lead to it. */
function commandsOf(command: Command, path: string[] = []): { path: string[]; command: Command }[] {
  return [{ path, command }, ...command.commands.flatMap((child) => commandsOf(child, [...path, child.name()]))]
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (chunk) => (text += chunk) })
  command.outputHelp()
  return text
}

help('of every command has two examples that begin with the command itself', async () => {
  const found = commandsOf(await program())
  assert.ok(found.length >= 18, `${found.length} commands`)
  for (const { path, command } of found) {
    const [, examples = ''] = helpOf(command).split('Examples:\n')
    const lines = examples.split('\n').filter((line) => line.includes('lockstep'))
    assert.ok(lines.length >= 2, `${path.join(' ')} has ${lines.length} examples`)
    for (const line of lines) assert.match(line, new RegExp(`lockstep .*${path.join(' ')}`), line)
  }
})

help('of every command names runs by ids that a run can have', async () => {
  for (const { path, command } of commandsOf(await program())) {
    for (const [id] of helpOf(command).matchAll(/\brun_\w+\d\b/g)) assert.ok(id.length >= 8, `${path.join(' ')}: ${id}`)
  }
})

help('names the exit codes of verbs that are no operation', async () => {
  for (const [verb, exit] of [
    ['restore', /5 +LEDGER_EXISTS, .*\n +6 .*VERIFY_FAILED/],
    ['salvage', /5 +LEDGER_EXISTS/],
    ['adopt', /7 +LEDGER_SERVED/],
    ['serve', /5 +LEDGER_COPIED/],
  ] as const) {
    const found = commandsOf(await program()).find(({ path }) => path.join(' ') === verb)
    assert.match(found === undefined ? '' : helpOf(found.command), exit, verb)
  }
})

help('names every option of the program, for each command', async () => {
  for (const { path, command } of commandsOf(await program())) {
    for (const option of ['--json', '--dir', '--actor', '--open-wait'])
      assert.match(helpOf(command), option, path.join(' '))
  }
})

help.run()
