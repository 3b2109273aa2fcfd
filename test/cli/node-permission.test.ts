import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const permission = suite('a process under Node’s permission model')
const dist = process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist')
const main = join(dist, 'cli/main.js')
const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'

/** Runs node under the model with some of its flags. */
function under(allowed: readonly string[], words: readonly string[]) {
  const argv = ['--no-warnings', flag, ...allowed, ...words]
  return spawnSync(process.execPath, argv, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } })
}

const read = '--allow-fs-read=*'
const write = '--allow-fs-write=*'
const lacks: [allowed: string[], command: string[], flag: string][] = [
  [[read], ['head'], '--allow-fs-write'],
  [[read, write], ['head'], '--allow-addons'],
  [[read, write, '--allow-addons'], ['verify'], '--allow-child-process'],
]

for (const [allowed, command, lacking] of lacks) {
  permission(`that lacks ${lacking} is FILE_DENIED and names it`, async () => {
    const root = temporaryRoot()
    is((await lockstep(['init', root])).status, 0)
    const { status, stdout } = under(allowed, [main, '--dir', root, ...command, '--json'])
    const { code, flag, hint } = JSON.parse(stdout)
    equal([status, code, flag], [4, 'FILE_DENIED', lacking])
    ok(hint.includes(lacking), hint)
    await endsWithVerify(root)
  })
}

permission('gets the same error from the library', async () => {
  const root = temporaryRoot()
  is((await lockstep(['init', root])).status, 0)
  const program = `
    import(${JSON.stringify(join(dist, 'index.js'))})
      .then(({ openLedger }) => openLedger({ dir: ${JSON.stringify(root)} }))
      .catch(({ code, details }) => process.stdout.write(code + ' ' + details.flag))`
  const { stdout, stderr } = under([read, write], ['-e', program])
  is(stdout, 'FILE_DENIED --allow-addons', stderr)
  await endsWithVerify(root)
})

permission('with all four works, unless Node denies fsync: then the error says so', async () => {
  const root = temporaryRoot()
  is((await lockstep(['init', root])).status, 0)
  const all = [read, write, '--allow-addons', '--allow-child-process']
  for (const words of [['lock', 'acquire', 'a', '--holder', 'a'], ['verify']]) {
    const { status, stdout } = under(all, [main, '--dir', root, ...words, '--json'])
    if (status === 0) continue
    const { code, hint, message } = JSON.parse(stdout)
    equal([status, code], [4, 'FILE_DENIED'], message)
    ok(message.includes('fsync') && hint.includes('fsync'), stdout)
  }
  await endsWithVerify(root)
})

permission.run()
