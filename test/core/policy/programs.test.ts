import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Action } from '../../../src/domain/policy/action.ts'
import { actionSchema } from '../../../src/domain/policy/action.ts'
import { checkProgram } from '../../../src/domain/policy/programs.ts'
import { policyOfTexts } from '../../support/policy-tables.ts'

const programs = suite('tools that a lane binds to programs')

const lanes = (commands: string) => `lanes:
  - lane_id: shell
    purpose: Runs tests.
    allowed_callers: { roles: [agent] }
    allowed_actions:
      tools: [npm.test, git.status, any.run, unbound.run, busy.ls]
      commands: ${commands}
    scope: { requires: [], prohibits: [] }
    audit: { required: true, level: full }
`
const roles = 'roles:\n  - { role_id: agent, description: Works., class: agent, privileges: { lanes: [shell] } }\n'
const bindings = `
        - { tool: npm.test, program: npm, args: [test, '**'] }
        - { tool: npm.test, program: /opt/node/bin/npm, args: [test] }
        - { tool: git.*, program: git, args: [status, '--porcelain*'] }
        - { tool: any.run, program: /opt/tools/*, args: ['*', last] }
        - { tool: busy.ls, program: busybox, args: [ls, '**'] }`
const lane = policyOfTexts(lanes(bindings), roles).lanes.get('shell')
if (lane === undefined) throw new Error('there is no lane')

const npm = { found: '/usr/bin/npm', real: '/usr/lib/node_modules/npm/bin/npm-cli.js' }
const at = (path: string, real = path) => ({ found: path, real })

/** A tool, the words of a command, the program that they name, and whether the lane allows that. */
const cases: [title: string, tool: string, argv: string[], program: typeof npm | undefined, isAllowed: boolean][] = [
  ['a program of the system by its name', 'npm.test', ['npm', 'test'], npm, true],
  ['further arguments where the lane has **', 'npm.test', ['npm', 'test', '--', 'a', ''], npm, true],
  ['another first argument', 'npm.test', ['npm', 'run', 'test'], npm, false],
  ['no arguments', 'npm.test', ['npm'], npm, false],
  ['an empty argument in the place of another', 'npm.test', ['npm', '', 'test'], npm, false],
  ['an argument that only begins like the listed one', 'npm.test', ['npm', 'test:all'], npm, false],
  ['a shell under the name of a bound tool', 'npm.test', ['sh', '-c', 'rm -rf .'], at('/usr/bin/dash'), false],
  ['a shell whose arguments look right', 'npm.test', ['sh', 'test'], at('/usr/bin/sh', '/usr/bin/dash'), false],
  ['env in front of the program', 'npm.test', ['env', 'npm', 'test'], at('/usr/bin/env'), false],
  ['a program of that name in another folder', 'npm.test', ['npm', 'test'], at('/tmp/evil/npm'), false],
  ['a program of that name below a folder of the system', 'npm.test', ['npm', 'test'], at('/usr/bin/x/npm'), false],
  ['a link of that name to a shell', 'npm.test', ['npm', 'test'], at('/tmp/npm', '/usr/bin/dash'), false],
  ['a link elsewhere to the program of the system', 'npm.test', ['./npm', 'test'], at('/home/a/npm', npm.real), false],
  [
    'a link of the same name to the file',
    'git.status',
    ['git', 'status', '--porcelain'],
    at('/a/git', '/usr/bin/git'),
    true,
  ],
  ['what a link of the system leads to, in its place', 'npm.test', ['npm', 'test'], at(npm.real), false],
  ['a program by its path', 'npm.test', ['npm', 'test'], at('/opt/node/bin/npm', '/opt/node/lib/npm-cli.js'), true],
  ['more arguments than its path has', 'npm.test', ['npm', 'test', 'a'], at('/opt/node/bin/npm'), false],
  ['an argument up to its star', 'git.status', ['git', 'status', '--porcelain=v2'], at('/usr/bin/git'), true],
  ['any one argument, and a fixed one', 'any.run', ['x', '--force', 'last'], at('/opt/tools/bin/x'), true],
  ['two arguments for one star', 'any.run', ['x', 'a', 'b', 'last'], at('/opt/tools/bin/x'), false],
  ['the folder itself', 'any.run', ['x', 'a', 'last'], at('/opt/tools'), false],
  ['a folder that begins alike', 'any.run', ['x', 'a', 'last'], at('/opt/tools2/x'), false],
  ['a program of many names by its own', 'busy.ls', ['busybox', 'ls', '-l'], at('/usr/bin/busybox'), true],
  ['a program of many names by another', 'busy.ls', ['rm', 'ls', '-l'], at('/tmp/rm', '/usr/bin/busybox'), false],
  ['a name of every object as a program', 'npm.test', ['constructor', 'test'], at('/usr/bin/constructor'), false],
  ['a name of every object as an argument', 'npm.test', ['npm', '__proto__'], npm, false],
  ['a very long argument', 'npm.test', ['npm', 'test', 'x'.repeat(8_000)], npm, true],
  ['a program that was not found', 'npm.test', ['npm', 'test'], undefined, false],
  ['anything for a tool without a binding', 'unbound.run', ['sh', '-c', 'rm'], at('/usr/bin/dash'), true],
]

function actionOf(name: string, command: Action['command']): Action {
  return actionSchema.parse({ action_type: 'tool_call', command, lane_id: 'shell', scope: {}, target: { name } })
}

for (const [title, tool, argv, program, isAllowed] of cases) {
  programs(`${title} is ${isAllowed ? 'allowed' : 'denied'}`, () => {
    const failed = [...checkProgram(lane, actionOf(tool, { argv, program }))]
    const missing = program === undefined ? { missing: 'command' } : {}
    equal(failed, isAllowed ? [] : [{ reason: 'not_permitted', rule: 'lane:shell/commands', ...missing }])
  })
}

programs('a bound tool without its words, or with their digest alone, is denied', () => {
  for (const command of [undefined, { argv_sha256: 'ab'.repeat(32), program: npm }]) {
    const [failed] = [...checkProgram(lane, actionOf('npm.test', command))]
    equal([failed?.rule, failed?.missing], ['lane:shell/commands', 'command'])
  }
})

/** Commands that no action can name. */
const refused: [title: string, command: object][] = [
  ['a NUL in a word', { argv: ['npm', 'te\0st'], program: npm }],
  ['half of a character', { argv: ['npm', '\ud800'], program: npm }],
  ['no words', { argv: [], program: npm }],
  ['too many words', { argv: Array.from({ length: 2_100 }, () => 'a') }],
  ['too long words', { argv: Array.from({ length: 9 }, () => 'x'.repeat(1_000)) }],
  ['words and a digest', { argv: ['npm'], argv_sha256: 'ab'.repeat(32) }],
  ['neither words nor a digest', { program: npm }],
  ['a relative path', { argv: ['npm'], program: at('usr/bin/npm') }],
  ['a path with ..', { argv: ['npm'], program: at('/opt/tools/../../tmp/npm') }],
  ['a path with .', { argv: ['npm'], program: at('/usr/bin/./npm') }],
  ['a path with an empty name', { argv: ['npm'], program: at('/usr//bin/npm') }],
  ['a path that ends in a slash', { argv: ['npm'], program: at('/usr/bin/npm/') }],
  ['a path with a NUL', { argv: ['npm'], program: at('/usr/bin/npm\0') }],
  ['an unknown member', { argv: ['npm'], program: { ...npm, is_trusted: true } }],
]

for (const [title, command] of refused) {
  programs(`${title} is no command`, () => {
    const action = { action_type: 'tool_call', command, lane_id: 'shell', scope: {}, target: { name: 'npm.test' } }
    is(actionSchema.safeParse(action).success, false)
  })
}

/** Bindings that no policy may have. */
const broken: [title: string, commands: string][] = [
  ['a relative path', "[{ tool: npm.test, program: bin/npm, args: ['**'] }]"],
  ['a path with ..', "[{ tool: npm.test, program: /opt/../bin/npm, args: ['**'] }]"],
  ['a star inside a path', "[{ tool: npm.test, program: /opt/*/npm, args: ['**'] }]"],
  ['a star alone as a program', "[{ tool: npm.test, program: '*', args: ['**'] }]"],
  ['no arguments at all', '[{ tool: npm.test, program: npm }]'],
  ['** before the end', "[{ tool: npm.test, program: npm, args: ['**', test] }]"],
  ['an unknown key', '[{ tool: npm.test, program: npm, args: [], env: any }]'],
  ['a star alone as a tool', "[{ tool: '*', program: npm, args: [] }]"],
]

for (const [title, commands] of broken) {
  programs(`a policy whose binding has ${title} is refused`, () => {
    let isRefused = false
    try {
      policyOfTexts(lanes(commands), roles)
    } catch {
      isRefused = true
    }
    is(isRefused, true)
  })
}

programs.run()
