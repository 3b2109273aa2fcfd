import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { userName } from '../../src/disk/user.ts'
import { withServiceProcess } from '../client/service-process.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { editConfig } from '../support/scene.ts'

const config = suite('lockstep config')
const agent = { LOCKSTEP_ACTOR: 'agent-9' }

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  is((await lockstep(['init', root, '--no-operator-token'])).status, 0)
  return root
}

config('check says what a reload would change; only an operator in force can reload', async () => {
  const root = await newRoot()
  const run = (...words: string[]) => lockstep(['--dir', root, 'config', ...words])
  const before = await run('show')
  equal((before.json.settings as { operators: string[] }).operators, [userName()])
  editConfig(root, { operators: ['agent-9'] })
  const checked = await lockstep(['--dir', root, 'config', 'check'], { isForPeople: true })
  is(checked.stdout, `operators: ["${userName()}"] -> ["agent-9"]\n`)
  const refused = await lockstep(['--dir', root, 'config', 'reload'], { env: agent })
  equal([refused.status, refused.json.code], [4, 'CONFIG_DENIED'])
  const other = await run('reload', '--sha256', '0'.repeat(64))
  equal([other.status, other.json.code], [2, 'CONFIG_INVALID'])
  const { sha256 } = (await run('check')).json
  const loaded = await run('reload', '--sha256', String(sha256))
  equal([loaded.status, loaded.json.replayed, loaded.json.on_disk], [0, false, 'same'], loaded.stdout)
  is((await run('reload')).json.replayed, true)
  editConfig(root, { operators: [userName()] })
  is((await run('reload')).json.code, 'CONFIG_DENIED', 'the user gave the right away')
  await endsWithVerify(root)
})

config('a typo in the file ends no running work, and check names its line', async () => {
  const root = await newRoot()
  const file = join(root, '.lockstep/config.json')
  const text = readFileSync(file, 'utf8')
  const breaks = `${process.execPath} -e 'require("node:fs").writeFileSync(process.argv[1], "{\\n  oops")' ${file}`
  const ran = await lockstep(['--dir', root, 'lock', 'run', 'reports', '--', '/bin/sh', '-c', breaks])
  is(ran.status, 0, ran.stderr)
  const checked = await lockstep(['--dir', root, 'config', 'check'], { isForPeople: true })
  equal([checked.status, checked.stdout.startsWith('.lockstep/config.json:2: ')], [2, true], checked.stdout)
  const reloaded = await lockstep(['--dir', root, 'config', 'reload'])
  equal([reloaded.status, reloaded.json.code], [2, 'CONFIG_INVALID'])
  rmSync(file)
  is((await lockstep(['--dir', root, 'lock', 'list'])).status, 0)
  const gone = await lockstep(['--dir', root, 'config', 'reload'])
  match(String(gone.json.message), /the file is missing/)
  const { settings } = (await lockstep(['--dir', root, 'config', 'show'])).json
  writeFileSync(file, JSON.stringify(settings))
  equal((await lockstep(['--dir', root, 'config', 'check'])).json.changes, [], 'what show prints is a configuration')
  writeFileSync(file, text)
  await endsWithVerify(root)
})

config(
  'while a service runs, a reload needs the operator token, and is effective at once',
  withServiceProcess(async ({ root, start }) => {
    rmSync(join(root, '.lockstep'), { recursive: true })
    is((await lockstep(['init', root])).status, 0)
    await start()
    const run = (...words: string[]) => lockstep(['--dir', root, ...words])
    editConfig(root, { operators: ['agent-9', userName()] })
    equal((await run('config', 'reload')).json.code, 'FORBIDDEN')
    is((await run('config', 'show')).json.on_disk, 'changed')
    const loaded = await run('--operator', 'config', 'reload')
    equal([loaded.status, loaded.json.on_disk], [0, 'same'], loaded.stdout)
    editConfig(root, { socket_auth: 'token' })
    is((await run('--operator', 'config', 'reload')).status, 0)
    equal((await run('lock', 'list')).json.code, 'UNAUTHENTICATED', 'the service needs no restart')
    is((await run('--operator', 'lock', 'list')).status, 0)
  }),
)

config.run()
