import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Command } from 'commander'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { candidatesFor } from '../../src/cli/complete.ts'
import { program } from '../../src/cli/program.ts'
import { choicesOf } from '../../src/cli/verb.ts'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { startRun } from '../support/pages.ts'
import { until, withService } from '../support/service.ts'

const completion = suite('lockstep completion')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

/** A folder with a command `lockstep`, for the PATH of a shell. */
function programFolder(): string {
  const folder = join(temporaryRoot(), 'bin')
  mkdirSync(folder)
  const file = join(folder, 'lockstep')
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
  writeFileSync(file, `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(main)} "$@"\n`)
  chmodSync(file, 0o755)
  return folder
}

/** Runs a script in a shell, and resolves with the lines on stdout. Fails if anything is written on stderr. */
async function shell(words: readonly string[], script: string, dir: string): Promise<string[]> {
  const path = [programFolder(), process.env.PATH].join(delimiter)
  const env = { ...process.env, LOCKSTEP_DIR: dir, PATH: path }
  const child = spawn(words[0] ?? '', [...words.slice(1), script], { cwd: temporaryRoot(), env })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [status] = await once(child, 'close')
  equal([status, stderr], [0, ''], stdout)
  return stdout.split('\n').filter((line) => line !== '')
}

const isThere = (name: string) => spawnSync(name, ['-c', 'true']).status === 0
const byShell = (name: string) => (isThere(name) ? `asked in ${name}` : `${name} is missing: not asked`)
const runId = 'run_ACME_shop_2026-02-02_001'

/** A line, the word that bash takes for the last one, and what is offered. */
const lines: readonly [line: string, word: string, offered: readonly string[]][] = [
  ['lockstep lock rel', 'rel', ['release']],
  ['lockstep --actor x lock rele', 'rele', ['release']],
  ['lockstep help lock rele', 'rele', ['release']],
  ['lockstep lock release x --outcome ', '', ['failure', 'success']],
  ['lockstep lock release x --outcome=f', 'f', ['--outcome=failure']],
  ['lockstep lock release x --outc', '--outc', ['--outcome']],
  ['lockstep lock status ', '', ['deliverable:DEL-08-05', 'reports', 'two words']],
  ['lockstep lock status deliverable:D', 'D', ['deliverable:DEL-08-05']],
  ['lockstep lock status resource:r', 'r', ['resource:reports']],
  ['lockstep lock status "two', 'two', ['two words']],
  ['lockstep lock status two\\ w', 'two w', ['two words']],
  ['lockstep lock run rep', 'rep', ['reports']],
  ['lockstep audit list --lock rep', 'rep', ['reports']],
  ['lockstep run why ', '', [runId]],
  ['lockstep run why x ', '', []],
  ['lockstep audit list --run run_', 'run_', [runId]],
  ['lockstep completion ', '', ['bash', 'zsh', 'fish']],
  ['lockstep lock run reports -- lock', 'lock', []],
  ['lockstep no-such-verb ', '', []],
]

/** A service whose ledger has locks and a run. */
function withNames(work: (dir: string) => Promise<void>): Promise<void> {
  return withService(async (_, ledger) => {
    await startRun(ledger, runId)
    for (const name of ['reports', 'two words']) await ledger.locks.acquire({ holder: 'agent-1', name })
    const folder = join(ledger.dir, 'DEL-08-05_Lock')
    mkdirSync(folder)
    await ledger.locks.acquire({ folder, holder: 'agent-1', pids: [process.pid] })
    await work(ledger.dir)
  })
}

completion(`offers verbs, options, values and live names (${byShell('bash')})`, async () => {
  await withNames(async (dir) => {
    const asked = lines.map(([line, word], index) => {
      const [typed = ''] = /\S*$/.exec(line) ?? []
      const quoted = (text: string) => `'${text}'`
      return `COMP_LINE=${quoted(line)} COMP_POINT=${line.length} COMP_CWORD=0 COMP_WORDS=(${quoted(typed)})
        _lockstep lockstep ${quoted(word)} ''; for one in "\${COMPREPLY[@]}"; do echo "${index} $one"; done`
    })
    const script = `set -u; source <(lockstep completion bash); complete -p lockstep >/dev/null || exit 1\n${asked.join('\n')}`
    const offered = isThere('bash') ? await shell(['bash', '--norc', '-c'], script, dir) : []
    if (!isThere('bash')) return
    for (const [index, [line, word, expected]] of lines.entries()) {
      const found = offered.filter((one) => one.startsWith(`${index} `)).map((one) => one.slice(`${index} `.length))
      const [typed = ''] = /\S*$/.exec(line) ?? []
      // bash replaces its own word alone, which begins behind a colon or an equals sign.
      const cut = /[:=]/.test(typed) ? typed.length - word.length : 0
      const isQuoted = typed.startsWith('"')
      const shown = expected.map((one) => (isQuoted ? one : one.slice(cut).replaceAll(' ', '\\ ')))
      equal(found.sort(), [...shown].sort(), line)
    }
  })
})

completion(`offers the same in fish (${byShell('fish')})`, async () => {
  if (!isThere('fish')) return
  await withNames(async (dir) => {
    for (const [line, , expected] of lines.filter(([line, , expected]) => expected.length > 0 && !/["\\]/.test(line))) {
      const script = `lockstep completion fish | source; complete -C '${line}'`
      const found = await shell(['fish', '--no-config', '-c'], script, dir)
      equal(found.map((one) => one.split('\t')[0]).sort(), [...expected].sort(), line)
    }
  })
})

completion(`offers the same in zsh (${byShell('zsh')})`, async () => {
  if (!isThere('zsh')) return
  await withNames(async (dir) => {
    for (const [line, , expected] of lines.filter(([line]) => !/["\\]/.test(line))) {
      const words = line.split(' ')
      const context = `words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; PREFIX='${words.at(-1)}'`
      const stubs = `compdef() { }; _describe() { print -rl -- "\${(P@)2}" }; _files() { }`
      const found = await shell(
        ['zsh', '-f', '-c'],
        `${stubs}; source <(lockstep completion zsh); ${context}; _lockstep`,
        dir,
      )
      const values = found.map((one) => one.replace(/(?<!\\):.*/, '').replaceAll('\\:', ':'))
      equal(values.sort(), [...expected].sort(), line)
    }
  })
})

completion('knows every noun, verb, option and closed list of the program', async () => {
  const valuesFor = async (line: string) => (await candidatesFor(line)).map(({ value }) => value)
  const visit = async (command: Command, line: string): Promise<number> => {
    const options = await valuesFor(`${line} -`)
    ok(options.includes('--help') && options.includes('--json'), line)
    let lists = 0
    for (const option of command.options) {
      ok(options.includes(option.long ?? ''), `${line} ${option.long}`)
      if (choicesOf(option).length === 0) continue
      lists += 1
      equal(await valuesFor(`${line} ${option.long} `), choicesOf(option))
    }
    for (const child of command.commands) {
      ok((await valuesFor(`${line} `)).includes(child.name()), `${line} ${child.name()}`)
      lists += await visit(child, `${line} ${child.name()}`)
    }
    return lists
  }
  ok((await visit(await program(), 'lockstep')) > 10)
  ok(!(await valuesFor('lockstep ')).includes('complete'), 'the hidden verb stays hidden')
})

/** Asks the hidden verb alone. */
const complete = (dir: string, line = 'lockstep lock status ') =>
  lockstep(['complete', line], { env: { LOCKSTEP_DIR: dir }, isForPeople: true })
const nothing = { signal: null, status: 0, stderr: '', stdout: '' }
const outcomeOf = ({ signal, status, stderr, stdout }: Awaited<ReturnType<typeof complete>>) => ({
  signal,
  status,
  stderr,
  stdout,
})

completion('opens no ledger and prints no error, whatever it finds', async () => {
  const dir = join(temporaryRoot(), 'a folder')
  mkdirSync(dir)
  equal(outcomeOf(await complete(dir)), nothing, 'no ledger')
  const ledger = await openLedger({ actor: testActor, create: true, dir, policy: false })
  await ledger.locks.acquire({ holder: 'agent-1', name: 'reports' })
  equal(outcomeOf(await complete(dir)), nothing, 'another process has the ledger')
  await ledger.close()
  const home = join(dir, '.lockstep')
  const state = () =>
    readdirSync(home, { recursive: true, encoding: 'utf8' }).map((name) => [name, statSync(join(home, name)).mtimeMs])
  const before = state()
  equal(outcomeOf(await complete(dir)), nothing, 'no service')
  equal(outcomeOf(await complete(join(dir, 'missing'))), nothing, 'no folder')
  equal(outcomeOf(await complete(dir, '')), outcomeOf(await complete(dir, 'lockstep ')))
  equal(outcomeOf(await complete(dir, `lockstep lock status "'\\`)), nothing, 'quotes that are not closed')
  equal(state(), before)
  await endsWithVerify(dir)
})

completion('does not wait for a service that does not answer', async () => {
  const dir = join(temporaryRoot(), 'r')
  mkdirSync(dir)
  await (await openLedger({ actor: testActor, create: true, dir, policy: false })).close()
  const service = spawn(process.execPath, [main, '--dir', dir, 'serve'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  service.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(service, 'exit')
  try {
    await until('the service runs', () => /^lockstep serves/m.test(stderr))
    await lockstep(['lock', 'acquire', 'reports', '--holder', 'agent-1'], { env: { LOCKSTEP_DIR: dir } })
    match((await complete(dir)).stdout, /^reports\theld agent-1$/m)
    service.kill('SIGSTOP')
    equal(outcomeOf(await complete(dir)), nothing)
    is(service.exitCode, null)
  } finally {
    service.kill('SIGCONT')
    service.kill('SIGTERM')
  }
  await ended
  await endsWithVerify(dir)
})

completion('names the shells that it knows', async () => {
  const { json, status } = await lockstep(['completion', 'tcsh'])
  equal([status, json.code], [2, 'INVALID_INPUT'])
  match(String(json.message), /bash, zsh, fish/)
})

completion.run()
