import type { Command } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { program } from '../../src/cli/program.ts'

const help = suite('help')

/** Every command that does something, with the words that lead to it. */
function verbs(command: Command, path: string[] = []): { path: string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }]
  return command.commands.flatMap((child) => verbs(child, [...path, child.name()]))
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (chunk) => (text += chunk) })
  command.outputHelp()
  return text
}

help('of every command has two examples that begin with the command itself', () => {
  const found = verbs(program())
  assert.ok(found.length >= 18, `${found.length} commands`)
  for (const { path, command } of found) {
    const [, examples = ''] = helpOf(command).split('Examples:\n')
    const lines = examples.split('\n').filter((line) => line.includes('lockstep'))
    assert.ok(lines.length >= 2, `${path.join(' ')} has ${lines.length} examples`)
    for (const line of lines) assert.match(line, new RegExp(`lockstep .*${path.join(' ')}`), line)
  }
})

help('of every command names runs by ids that a run can have', () => {
  for (const { path, command } of verbs(program())) {
    for (const [id] of helpOf(command).matchAll(/\brun_\w+\d\b/g)) assert.ok(id.length >= 8, `${path.join(' ')}: ${id}`)
  }
})

help('names every option of the program, for each command', () => {
  for (const { path, command } of verbs(program())) {
    for (const option of ['--json', '--dir', '--actor', '--open-wait'])
      assert.match(helpOf(command), option, path.join(' '))
  }
})

help.run()
