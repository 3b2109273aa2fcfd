import { spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { type CommandOptions, lockstep } from '../support/command.ts'
import { contentOf } from '../support/deliverable.ts'
import { endsWithVerify, reachableRoot } from '../support/ledger.ts'
import { give } from '../support/other-user.ts'
import { startOwner } from '../support/owner.ts'

const reads = [['lock', 'list'], ['head'], ['audit', 'list'], ['verify']]
const writes = [
  ['verify', '--rebuild'],
  ['lock', 'acquire', 'a', '--holder', 'h'],
]

/** Every reader answers as of the size, and every writer is refused. */
async function isReadable(root: string, refusal: string, options: CommandOptions = {}): Promise<void> {
  const ask = (words: readonly string[]) => lockstep(['--dir', root, ...words], options)
  const { json } = await ask(['head'])
  for (const words of reads) {
    const { status, stderr, stdout } = await ask(words)
    equal([status, stderr], [0, `as of size ${json.size}\n`], `${words.join(' ')}: ${stdout}`)
  }
  for (const words of writes) {
    const { json, status, stdout } = await ask(words)
    equal([status, json.code], [4, refusal], `${words.join(' ')}: ${stdout}`)
  }
}

const readOnly = suite('a ledger that cannot be written')

readOnly('is read on a read-only file system, and FILE_READ_ONLY, exit 4, for what writes', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lockstep-read-only-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', root])
  if (status !== 0) return console.log('mounting is not permitted: nothing is read-only')
  try {
    is((await lockstep(['init', root])).status, 0)
    is(spawnSync('mount', ['-o', 'remount,ro', root]).status, 0)
    await isReadable(root, 'FILE_READ_ONLY')
    is(spawnSync('mount', ['-o', 'remount,rw', root]).status, 0)
    await endsWithVerify(root)
  } finally {
    spawnSync('umount', [root])
    rmSync(root, { recursive: true, force: true })
  }
})

readOnly('is read on a read-only mount while its owner appends through another path', async () => {
  const mounted = mkdtempSync(join(tmpdir(), 'lockstep-read-only-'))
  const owner = await startOwner()
  try {
    const binds = [
      ['--bind', owner.root, mounted],
      ['-o', 'remount,ro,bind', mounted],
    ]
    if (binds.some((words) => spawnSync('mount', words).status !== 0))
      return console.log('mounting is not permitted: nothing is read-only')
    for (const words of reads) {
      const least = owner.acknowledged()
      const { status, stderr, stdout } = await lockstep(['--dir', mounted, ...words])
      is(status, 0, `${words.join(' ')}: ${stdout}`)
      is(Number(/^as of size (\d+)\n$/.exec(stderr)?.[1]) >= least, true, `${stderr} is at least ${least}`)
    }
  } finally {
    await owner.end()
    spawnSync('umount', [mounted])
    rmSync(mounted, { recursive: true, force: true })
  }
  await endsWithVerify(owner.root)
})

readOnly('is read without the right to write its folders, and FILE_DENIED for what writes', async () => {
  const root = reachableRoot()
  is((await lockstep(['init', root])).status, 0)
  // Root may write to every folder, so another user asks.
  const uid = process.geteuid?.() === 0 ? 4_711 : undefined
  const TMPDIR = reachableRoot()
  if (uid !== undefined) for (const folder of [root, TMPDIR]) give(folder, uid)
  const modes = modesOf(root)
  for (const path of Object.keys(modes)) chmodSync(path, lstatSync(path).mode & 0o555)
  const before = contentOf(root)
  try {
    await isReadable(root, 'FILE_DENIED', { env: { TMPDIR }, ...(uid === undefined ? {} : { uid }) })
    equal(contentOf(root), before)
  } finally {
    for (const [path, mode] of Object.entries(modes)) chmodSync(path, mode)
  }
  await endsWithVerify(root)
})

/** The modes of a folder and of everything below it. */
function modesOf(path: string): Record<string, number> {
  const { mode } = lstatSync(path)
  const below = lstatSync(path).isDirectory() ? readdirSync(path).map((name) => modesOf(join(path, name))) : []
  return Object.assign({ [path]: mode }, ...below)
}

readOnly.run()
