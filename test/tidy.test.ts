// biome-ignore-all lint/suspicious/noTemplateCurlyInString: some samples are sources that hold a template
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { root } from './runner.ts'
import {
  badNames,
  bannedIn,
  codeOf,
  importCycles,
  importsIn,
  importViolations,
  readNames,
  readSources,
  tooLong,
  untidyTest,
  withoutComments,
} from './tidy.ts'

const tree = suite('the tree')
const src = readSources(join(root, 'src'))
const tests = readSources(join(root, 'test'))

/** What a check finds in all of the files. */
const findings = (files: typeof src, check: (path: string, source: string) => string[]) =>
  [...files].flatMap(([path, source]) => check(path, source))

tree('is read', () => {
  ok(src.has('errors.ts'))
  ok(tests.has('tidy.test.ts'))
  ok(findings(src, (_, source) => importsIn(source)).length > 0)
})
tree('imports down the ladder only', () => equal(findings(src, importViolations), []))
tree('has no import cycles', () => equal(importCycles(src), []))
tree('has no file too long to read', () => {
  equal(
    findings(src, (path, source) => tooLong(path, source)),
    [],
  )
  equal(
    findings(tests, (path, source) => tooLong(path, source, 'test')),
    [],
  )
})
tree('has nothing banned', () => equal(findings(src, bannedIn), []))
tree('runs every test it has', () => equal(findings(tests, untidyTest), []))
tree('has descriptive kebab-case names', () => {
  equal(badNames(['src', 'test', 'bench'].flatMap((dir) => readNames(join(root, dir)))), [])
})
tree.run()

const checks = suite('the checks')

checks('read every form of import', () => {
  const forms = [
    "import a from 'b'",
    "import 'b'",
    "import type { A } from 'b'",
    "import * as a from 'b'",
    'import {\n  a,\n  type C,\n} from "b"',
    "export { a } from 'b'",
    "export * from 'b'",
    "const a = await import('b')",
    "type A = import('b').A",
    "const a = require('b')",
  ]
  for (const form of forms) equal(importsIn(`const before = 'x'\n${form}\nexport const after = 'y'`), ['b'], form)
  equal(importsIn("import a from 'a'\nimport 'b'\nexport * from 'c'"), ['a', 'b', 'c'])
  equal(importsIn("// import a from 'b'\n/**\n * import a from 'b'\n */\nArray.from('b')"), [])
})

checks('hold each folder to its rung', () => {
  const rows: [path: string, specifier: string, allowed: boolean][] = [
    ['errors.ts', './kernel/limits.ts', false],
    ['errors.ts', 'zod', false],
    ['kernel/limits.ts', '../errors.ts', true],
    ['kernel/limits.ts', 'zod', true],
    ['kernel/limits.ts', 'node:crypto', false],
    ['kernel/limits.ts', '../merkle/tree.ts', false],
    ['kernel/limits.ts', '../domain/lock/events.ts', false],
    ['domain/lock/decide.ts', './events.ts', true],
    ['domain/lock/decide.ts', '../../kernel/limits.ts', true],
    ['domain/lock/decide.ts', '../../disk/durable.ts', false],
    ['merkle/tree.ts', './hash.ts', true],
    ['merkle/tree.ts', '../errors.ts', true],
    ['merkle/tree.ts', '../domain/lock/names.ts', false],
    ['merkle/tree.ts', 'node:crypto', false],
    ['merkle/tree.ts', 'zod', false],
    ['api/locks.ts', '../domain/lock/commands.ts', true],
    ['api/locks.ts', './shapes/locks.ts', true],
    ['api/locks.ts', '../nouns/locks/locks.ts', false],
    ['api/locks.ts', 'node:fs', false],
    ['nouns/locks/locks.ts', '../../api/shapes/locks.ts', true],
    ['disk/files.ts', 'node:fs/promises', true],
    ['disk/files.ts', '../log/level/store.ts', false],
    ['disk/files.ts', 'level', false],
    ['log/level/store.ts', 'level', true],
    ['log/level/store.ts', '../../views/views.ts', false],
    ['log/level/store.ts', '../keyed/store.ts', true],
    ['log/level/store.ts', '../memory/memory-store.ts', false],
    ['log/memory/memory-log.ts', '../keyed/log.ts', true],
    ['log/memory/memory-log.ts', '../level/store.ts', false],
    ['log/keyed/log.ts', '../level/store.ts', false],
    ['log/engines.ts', './level/store.ts', true],
    ['log/tiles.ts', './keyed/log.ts', false],
    ['views/views.ts', '../log/log.ts', true],
    ['views/views.ts', '../log/keyed/log.ts', false],
    ['views/views.ts', '../log/memory/memory-log.ts', false],
    ['verify/verify.ts', '../log/level/repair/verify.ts', true],
    ['verify/verify.ts', '../log/memory/memory-log.ts', false],
    ['cli/repair.ts', '../log/level/repair/repair.ts', true],
    ['cli/lock.ts', '../log/level/repair/repair.ts', false],
    ['views/views.ts', 'msgpackr', false],
    ['views/views.ts', 'nanoid', false],
    ['writer/sequencer.ts', 'nanoid', true],
    ['writer/sequencer.ts', '../log/level/store.ts', false],
    ['writer/sequencer.ts', '../log/engines.ts', true],
    ['writer/sequencer.ts', '../files/staging/staging.ts', false],
    ['writer/sequencer.ts', './queue', false],
    ['writer/sequencer.ts', './queue.js', false],
    ['writer/sequencer.ts', '../../package.json', false],
    ['writer/sequencer.ts', '../../test/runner.ts', false],
    ['writer/sequencer.ts', '../index.ts', false],
    ['files/policy/policy-file.ts', 'yaml', true],
    ['files/policy/policy-file.ts', '../../nouns/policy/policy.ts', false],
    ['service/server.ts', 'hono/cors', true],
    ['service/server.ts', '@hono/node-server', true],
    ['service/server.ts', '@hono/other', false],
    ['service/server.ts', 'commander', false],
    ['service/server.ts', '../supervise/gate.ts', false],
    ['domain/run/decide.ts', '../lock/state.ts', true],
    ['domain/run/decide.ts', './state.ts', true],
    ['domain/run/decide.ts', '../turn/events.ts', false],
    ['domain/lock/decide.ts', '../run/state.ts', false],
    ['domain/lock/decide.ts', '../aggregates.ts', false],
    ['domain/aggregates.ts', './turn/aggregate.ts', true],
    ['domain/other/decide.ts', '../lock/state.ts', false],
    ['cli/main.ts', 'commander', true],
    ['cli/main.ts', 'hono', false],
    ['index.ts', './cli/main.ts', true],
    ['verify.ts', './proof/entry.ts', true],
    ['verify.ts', './merkle/tree.ts', false],
    ['proof/entry.ts', '../merkle/tree.ts', true],
    ['proof/entry.ts', '../kernel/limits.ts', false],
    ['proof/entry.ts', 'node:crypto', false],
    ['nouns/log.ts', '../proof/growth.ts', true],
    ['verify.ts', './kernel/limits.ts', false],
    ['verify.ts', 'zod', false],
    ['other/thing.ts', 'zod', false],
    ['thing.ts', 'zod', false],
  ]
  for (const [path, specifier, allowed] of rows) {
    is(importViolations(path, `import { a } from '${specifier}'`).length, allowed ? 0 : 1, `${path} ${specifier}`)
  }
  is(importViolations('cli/main.ts', 'await import(name)').length, 1)
})

checks('find import cycles of any length, once', () => {
  const sources = (edges: Record<string, string[]>) =>
    new Map(Object.entries(edges).map(([path, to]) => [path, to.map((name) => `import '${name}'\n`).join('')]))
  equal(importCycles(sources({ 'a/x.ts': ['./y.ts', '../z.ts'], 'a/y.ts': ['../z.ts'], 'z.ts': ['zod'] })), [])
  equal(importCycles(sources({ 'x.ts': ['./x.ts'] })), ['x.ts -> x.ts'])
  equal(
    importCycles(sources({ 'w.ts': ['./a/x.ts'], 'a/x.ts': ['./y.ts'], 'a/y.ts': ['../z.ts'], 'z.ts': ['./a/x.ts'] })),
    ['a/x.ts -> a/y.ts -> z.ts -> a/x.ts'],
  )
})

checks('count lines', () => {
  equal(tooLong('x.ts', 'line\n'.repeat(250)), [])
  is(tooLong('x.ts', 'line\n'.repeat(251)).length, 1)
  equal(tooLong('x.ts', 'line\n'.repeat(400), 'test'), [])
  is(tooLong('x.ts', 'line\n'.repeat(401), 'test').length, 1)
})

checks('find what is banned, where it is', () => {
  const bad: [path: string, source: string][] = [
    ['cli/x.ts', 'const a = Math.random()'],
    ['cli/x.ts', 'const a = `${Math.random()}`'],
    ['kernel/x.ts', 'const a = Date.now()'],
    ['kernel/x.ts', 'const a = new Date()'],
    ['kernel/x.ts', 'const a = new Date'],
    ['merkle/x.ts', 'const a = performance.now()'],
    ['log/x.ts', 'console.error(a)'],
    ['domain/run/x.ts', "export { a } from './b.ts'"],
    ['kernel/x.ts', "export type { A } from './b.ts'"],
    ['log/x.ts', 'process.exit(1)'],
    ['cli/x.ts', 'function f(a: any) {}'],
    ['cli/x.ts', 'f(a as any)'],
    ['cli/x.ts', '// @ts-ignore\nf()'],
    ['cli/x.ts', 'export const enum A { B }'],
    ['cli/x.ts', 'declare namespace A {}'],
    ['log/x.ts', "readFile(join(dir, 'LOCK'))"],
    ['log/x.ts', 'readFile(`${dir}/LOCK`)'],
    ['fs/x.ts', "readFile('ledger/LOCK')"],
  ]
  for (const [path, source] of bad) is(bannedIn(path, source).length, 1, source)
  const good: [path: string, source: string][] = [
    ['kernel/x.ts', 'const a = new Date(time)'],
    ['log/x.ts', 'const a = Date.now()'],
    ['cli/x.ts', 'console.log(a); process.exit(1)'],
    ['log/x.ts', 'process.exitCode = 1'],
    ['log/x.ts', "// console.log('x'): any\nconst a = 'Math.random()'"],
    ['cli/x.ts', "const a: anyone = 'an enum of things'"],
    ['log/level/files.ts', "if (name === 'LOCK') continue"],
    ['fs/x.ts', "const names = ['.LOCK', 'RUN_LOCK', 'REQ-LOCK']"],
  ]
  for (const [path, source] of good) equal(bannedIn(path, source), [], source)
})

checks('find tests that would not run', () => {
  const bad = [
    '',
    'const a = 1',
    "import { test } from 'uvu'\ntest('x', f)",
    "import { test } from 'uvu'\ntest.run()\ntest('x', f)",
    "import { test } from 'uvu'\ntest('x', f)\n// test.run()",
    "import { test } from 'uvu'\nother.test.run()",
    "import { suite } from 'uvu'\nconst a = suite('a')\na('x', f)\nconst b = suite('b')\nb('y', f)\nb.run()",
    "import { test } from 'uvu'\ntest.only('x', f)\ntest.run()",
    "import { test } from 'uvu'\ntest.skip('x', f)\ntest.run()",
    "import { test } from 'uvu'\ntest('x', () => sleep(10))\ntest.run()",
  ]
  for (const source of bad) is(untidyTest('x.test.ts', source).length, 1, source)
  const good = [
    "import { test } from 'uvu'\ntest.before.each(f)\ntest('x .only(', () => ok(/a/.test(a)))\ntest.run()",
    "import { suite } from 'uvu'\nconst a = suite<State>('a')\na('x', f)\na.run()",
  ]
  for (const source of good) equal(untidyTest('x.test.ts', source), [], source)
  equal(untidyTest('runner.ts', 'const a = 1'), [])
})

checks('judge names', () => {
  equal(badNames(['core/lock/decide.ts', 'run-lock.test.ts', 'a1.ts', 'common-prefix.ts']), [])
  const bad = ['runLock.ts', 'Lock.ts', 'a_b.ts', 'core/utils/a.ts', 'lock-manager.ts', 'helpers.ts', 'common']
  equal(badNames(bad), bad)
})

checks('tell code from comments, strings and regular expressions', () => {
  is(withoutComments("a /* 'b */ + 'c // d' // e"), "a   + 'c // d'  ")
  is(withoutComments('a(/[/*]"/, b) // c'), 'a(/[/*]"/, b)  ')
  is(withoutComments('`http://${a}` // b'), '`http://${a}`  ')
  is(codeOf("a('it\\'s', \"b\", /c'/, `${d}`) / e / f"), "a('', '', '', `${d}`) / e / f")
})
checks.run()
