// limit: 240
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { hashRequest, openLedger } from '../../src/index.ts'
import { type CommandOptions, lockstep } from '../support/command.ts'
import { lane, putPolicy, role } from '../support/gated.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const bound = suite('run exec of a tool that its lane binds to a program')

/** A program that says by which name it was called, and with what. */
const script = '#!/bin/sh\necho "ran $0 $*"\n'

interface Stage {
  root: string
  /** A program in a folder of its own. */
  tool: string
  exec: (
    words: readonly string[],
    options?: CommandOptions & { lane?: string },
  ) => Promise<{ status: number | null; stdout: string; stderr: string }>
  decided: () => Promise<{ data: Record<string, unknown> }>
}

/** A ledger whose lanes bind `tool.check` to a script, one of them with raw text. */
function of(title: string, work: (stage: Stage) => Promise<void>): void {
  bound(title, async () => {
    const root = realpathSync(temporaryRoot())
    const tool = join(root, 'tools', 'check')
    mkdirSync(join(root, 'tools'))
    writeFileSync(tool, script)
    chmodSync(tool, 0o755)
    const commands = [{ tool: 'tool.*', program: tool, args: ['check', '**'] }]
    const of = { commands, open: ['worker'], requires: ['run_id'], tools: ['tool.*', 'any.thing'] }
    const lanes = [lane('closed', of), lane('open', { ...of, raw_text: true })]
    putPolicy(root, { lanes, roles: [role('worker', ['closed', 'open'])] })
    await (await openLedger({ actor: testActor, create: true, dir: root })).close()
    const exec: Stage['exec'] = (words, { lane = 'closed', ...options } = {}) => {
      const of = ['run', 'exec', '--lane', lane, '--role', 'worker', '--tool', 'tool.check', '--', ...words]
      return lockstep(['--dir', root, ...of], { cwd: root, isForPeople: true, ...options })
    }
    const decided = async () => {
      const listed = await lockstep(['--dir', root, 'audit', 'list', '--entries', '--type', 'run.decided'])
      return (listed.json.entries as { data: Record<string, unknown> }[]).at(-1) as { data: Record<string, unknown> }
    }
    await work({ decided, exec, root, tool })
    await endsWithVerify(root)
  })
}

of('runs the bound program, by its path, by PATH and by a link of its name', async ({ exec, root, tool }) => {
  const linked = join(root, 'linked')
  mkdirSync(linked)
  symlinkSync(tool, join(linked, 'check'))
  const byPath: [string, CommandOptions][] = [
    [tool, {}],
    ['./tools/check', {}],
    ['tools/../tools/check', {}],
    ['check', { env: { PATH: `${join(root, 'tools')}:${process.env.PATH}` } }],
    ['check', { env: { PATH: `tools:${process.env.PATH}` } }],
    [join(linked, 'check'), {}],
  ]
  for (const [name, options] of byPath) {
    const { status, stdout } = await exec([name, 'check', 'a b', ''], options)
    equal([status, stdout], [0, `ran ${tool} check a b \n`], name)
  }
  const withoutHangup = await exec([join(linked, 'check'), 'check'], {
    wrapper: ['sh', '-c', 'trap "" HUP; exec "$@"', 'x'],
  })
  is(withoutHangup.status, 0)
  match(withoutHangup.stdout, /^ran .*check check\n$/)
})

of('starts nothing else under the name of the tool', async ({ exec, root, tool }) => {
  const [evil, mark] = [join(root, 'evil'), join(root, 'ran')]
  mkdirSync(evil)
  writeFileSync(join(evil, 'check'), `#!/bin/sh\ntouch ${mark}\n`)
  chmodSync(join(evil, 'check'), 0o755)
  symlinkSync('/bin/sh', join(root, 'check'))
  symlinkSync(tool, join(root, 'other'))
  const others: [string[], CommandOptions][] = [
    [['sh', '-c', `touch ${mark}`], {}],
    [['sh', 'check'], {}],
    [['env', tool, 'check'], {}],
    [['check', 'check'], { env: { PATH: `${evil}:${join(root, 'tools')}:${process.env.PATH}` } }],
    [['check', 'check'], { env: { PATH: `:${join(root, 'tools')}` }, cwd: evil }],
    [['./check', '-c', `touch ${mark}`], {}],
    [['./other', 'check'], {}],
    [[tool], {}],
    [[tool, 'remove', 'check'], {}],
    [[tool, ''], {}],
    [['constructor', 'check'], {}],
    [[tool, 'check', 'x'.repeat(20_000)], {}],
  ]
  for (const [words, options] of others) {
    const { status, stderr } = await exec(words, options)
    is(status, 4, words.join(' ').slice(0, 80))
    match(stderr, /lane:closed\/commands/)
  }
  is(existsSync(mark), false)
})

of('records the digest, and the words and the program where the lane has raw_text', async ({ decided, exec, tool }) => {
  const argv = [tool, 'check', 'a secret']
  const argv_sha256 = hashRequest({ command: argv })
  is((await exec(argv)).status, 0)
  const { command, rule_ids } = (await decided()).data
  equal([command, rule_ids], [{ argv_sha256 }, ['lane:closed/tools', 'lane:closed/commands']])
  is((await exec(argv, { lane: 'open' })).status, 0)
  equal((await decided()).data.command, { argv: JSON.stringify(argv), argv_sha256, found: tool, real: tool })
})

of('the same command without a binding runs as before, whatever its length', async ({ exec, root }) => {
  const text = 'x'.repeat(20_000)
  const words = ['run', 'exec', '--lane', 'closed', '--role', 'worker', '--tool', 'any.thing', '--']
  const command = [process.execPath, '--eval', 'console.log(process.argv[1].length)', text]
  const ended = await lockstep(['--dir', root, ...words, ...command], { isForPeople: true })
  equal([ended.status, ended.stdout], [0, '20000\n'])
  is((await exec(['no-such-program', 'check'])).status, 4)
  is((await lockstep(['--dir', root, ...words, 'no-such-program'], { isForPeople: true })).status, 127)
  is(readFileSync(join(root, 'tools/check'), 'utf8'), script)
})

bound.run()
