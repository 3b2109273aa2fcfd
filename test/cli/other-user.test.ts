import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { bundleFiles } from '../../src/domain/export/manifest.ts'
import { lockstep } from '../support/command.ts'
import { contentOf, deadHolder, foreignText, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, reachableRoot } from '../support/ledger.ts'
import { canReach, give } from '../support/other-user.ts'

const self = process.getuid?.() ?? 0
/** Who is somebody else is of no use where node, or the folder for temporary files, is closed to others. */
const isRoot = self === 0 && canReachTemporary(65_534)
/** Who runs the command: somebody else where this process may become somebody else. */
const holder = isRoot ? 65_534 : self
const users = suite('files of another user')

/** A root of the holder's with a deliverable folder, and the command as the holder runs it. */
async function newRoot() {
  const root = reachableRoot()
  const { path, lock } = makeDeliverable(root)
  if (isRoot) give(root, holder)
  const run = (...words: string[]) =>
    lockstep(['--dir', root, ...words], { cwd: '/', ...(isRoot ? { uid: holder } : {}) })
  const made = await run('init')
  is(made.status, 0, made.stdout + made.stderr)
  const acquire = ['lock', 'acquire', '--folder', path, '--holder', 'TASK', '--pid', String(process.pid)]
  return { root, path, lock, run, acquire: () => run(...acquire) }
}

/** The root, whose ledger this process may open now. */
function mine(root: string): string {
  if (isRoot) give(join(root, '.lockstep'), self)
  return root
}

const orphan = () => foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' })

users('a lock file tells every user of the machine who holds the lock', async () => {
  const { root, lock, acquire } = await newRoot()
  is((await acquire()).status, 0)
  const { mode, uid } = lstatSync(lock)
  equal([mode & 0o777, uid], [0o644, holder])
  is(JSON.parse(readFileSync(lock, 'utf8')).holder, 'TASK')
  await endsWithVerify(mine(root))
})

if (isRoot) {
  users('a lock file without read permission is FILE_DENIED, exit 4: neither free nor stale', async () => {
    const { root, path, lock, acquire } = await newRoot()
    writeFileSync(lock, orphan())
    chmodSync(lock, 0o600)
    const before = contentOf(path)
    const { json, status, stdout } = await acquire()
    equal([status, json.code], [4, 'FILE_DENIED'], stdout)
    equal(contentOf(path), before)
    chownSync(lock, holder, holder)
    is((await acquire()).status, 0)
    await endsWithVerify(mine(root))
  })

  users('a bundle without read permission is FILE_DENIED, exit 4: an archive, a folder, or a file in it', async () => {
    const { root, run } = await newRoot()
    const [archive, folder] = [join(root, 'bundle.tar.gz'), join(root, 'bundle')]
    writeFileSync(archive, '')
    mkdirSync(folder)
    for (const name of bundleFiles.filter((name) => name.includes('/'))) mkdirSync(dirname(join(folder, name)))
    for (const name of bundleFiles) writeFileSync(join(folder, name), '')
    const denied = async (path: string, closed: string, mode: number) => {
      chmodSync(closed, 0)
      const { json, status, stdout } = await run('export', 'verify', path, '--unauthenticated')
      equal([status, json.code], [4, 'FILE_DENIED'], stdout)
      chmodSync(closed, mode)
    }
    await denied(archive, archive, 0o644)
    await denied(folder, folder, 0o755)
    await denied(folder, join(folder, bundleFiles[0]), 0o644)
    await endsWithVerify(mine(root))
  })

  users('an orphan’s file that can be read but not removed is FILE_DENIED, and stays', async () => {
    const { root, path, lock, acquire, run } = await newRoot()
    writeFileSync(lock, orphan())
    chownSync(path, 0, 0)
    const before = contentOf(path)
    const { json, status, stdout } = await acquire()
    equal([status, json.code], [4, 'FILE_DENIED'], stdout)
    const recover = ['lock', 'recover', 'deliverable:DEL-08-05', '--folder', path, '--reason', 'x']
    is((await run(...recover)).json.code, 'FILE_DENIED')
    equal(contentOf(path), before)
    ok(existsSync(lock))
    await endsWithVerify(mine(root))
  })

  users('a user without a name, as in many containers, is named by number', async () => {
    const nameless = 54_321
    const root = reachableRoot()
    chownSync(root, nameless, nameless)
    const run = (...words: string[]) => lockstep(['--dir', root, ...words], { cwd: '/', uid: nameless })
    is((await run('init')).status, 0)
    is((await run('lock', 'acquire', 'a', '--holder', 'h')).status, 0)
    const { json } = await run('lock', 'history', 'a')
    equal(
      (json.entries as { actor: unknown }[]).map(({ actor }) => actor),
      [{ actor_id: `uid-${nameless}`, actor_type: 'human', authn: `os:uid-${nameless}` }],
    )
    is((await run('lock', 'break', 'a', '--reason', 'who runs init is an operator')).status, 0)
    chownSync(root, self, self)
    give(join(root, '.lockstep'), self)
    await endsWithVerify(root)
  })

  users('a .lockstep of another user is refused', async () => {
    const { root, acquire } = await newRoot()
    mine(root)
    const { json, status, stdout } = await acquire()
    equal([status, json.code], [4, 'LEDGER_INSECURE'], stdout)
    is(json.command, `chown -R ${holder} ${join(root, '.lockstep')}`)
    await endsWithVerify(root)
  })
}

users.run()

function canReachTemporary(uid: number): boolean {
  const folder = reachableRoot()
  chownSync(folder, uid, uid)
  const isReached = canReach(uid, folder)
  if (!isReached) console.log('node or the folder for temporary files is closed to others: all run as root')
  return isReached
}
