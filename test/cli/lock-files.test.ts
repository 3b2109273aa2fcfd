import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { foreignText, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'

const command = suite('lockstep lock, and lock files of other tools')

interface Fleet {
  lock: string
  path: string
  root: string
  /** For people, as an agent. */
  run: (...words: string[]) => Promise<Ended>
}

function commands(title: string, work: (fleet: Fleet) => Promise<void>): void {
  command(title, async () => {
    const root = join(temporaryRoot(), 'a root')
    await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
    const { lock, path } = makeDeliverable(root)
    const run = (...words: string[]) =>
      lockstep(['--dir', root, ...(words[0] === '--actor' ? [] : ['--actor', 'agent-1']), ...words], {
        isForPeople: true,
      })
    await work({ lock, path, root, run })
    await endsWithVerify(root)
  })
}

commands('status and list show the file, break moves it aside, and status is free again', async (fleet) => {
  const { lock, path, root, run } = fleet
  writeFileSync(lock, foreignText({ acquired: '2099-01-01T00:00:00Z' }))
  const status = await run('lock', 'status', '--folder', path, '--exit-code')
  equal([status.status, status.stderr], [75, ''])
  match(status.stdout, 'deliverable:DEL-08-05 is held by foreign-tool')
  const list = await run('lock', 'list', '--under', root)
  match(list.stdout, /deliverable:DEL-08-05 +held +foreign-tool/)
  not(list.stdout.includes('undefined'))
  const denied = await run('lock', 'break', '--folder', path, '--reason', 'it hangs')
  is(denied.status, 4)
  const broken = await run('--actor', 'human:BECCA', 'lock', 'break', '--folder', path, '--reason', 'it hangs')
  is(broken.status, 0, broken.stderr)
  const [, aside = ''] = /kept as (\S+)/.exec(broken.stdout) ?? []
  match(readFileSync(join(root, aside), 'utf8'), '2099-01-01')
  const free = await run('lock', 'status', '--folder', path, '--exit-code')
  equal([free.status, free.stdout.trim()], [0, 'deliverable:DEL-08-05 is free; its last entry is 2'])
})

commands('recover says where it keeps a file that cannot be read', async ({ lock, path, root, run }) => {
  writeFileSync(lock, 'cut')
  const recovered = await run('lock', 'recover', 'deliverable:DEL-08-05', '--folder', path, '--reason', 'cut')
  const [, aside = ''] = /kept as (\S+)/.exec(recovered.stdout) ?? []
  is(readFileSync(join(root, aside), 'utf8'), 'cut')
})

commands('a lock file that is deleted during lock run is restored, and the command goes on', async (fleet) => {
  const { lock, path, root, run } = fleet
  const renewed = `node -e 'const fs = require("fs"); fs.unlinkSync(${JSON.stringify(lock)});
    const until = Date.now() + 30000; const look = setInterval(() => {
      if (fs.existsSync(${JSON.stringify(lock)})) { clearInterval(look); process.exit(0) }
      if (Date.now() > until) process.exit(1) }, 20)'`
  await configure(root, { deliverable_lease_s: { min: 1, max: 3600 } })
  const ended = await run('lock', 'run', '--folder', path, '--lease', '3', '--', 'sh', '-c', renewed)
  is(ended.status, 0, ended.stderr)
  not(existsSync(lock))
  match((await run('lock', 'history', 'deliverable:DEL-08-05')).stdout, 'lock.file_restored')
})

commands('a wait or a folder that cannot be is refused with a sentence', async ({ path, run }) => {
  for (const words of [
    ['lock', 'acquire', 'reports', '--holder', 'x', '--wait', '86401'],
    ['lock', 'run', 'reports', '--wait', '86401', '--', 'true'],
  ]) {
    const refused = await run(...words)
    is(refused.status, 2, words.join(' '))
    match(refused.stderr, /--wait must be at most 86,?400/, words.join(' '))
  }
  const nowhere = await run('lock', 'list', '--under', join(path, 'nosuch'))
  equal([nowhere.status, nowhere.stdout], [3, ''])
  match(nowhere.stderr, 'nosuch does not exist')
  rmSync(path, { recursive: true })
})

command.run()
