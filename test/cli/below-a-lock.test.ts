import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { serve } from '../../src/service/serve.ts'
import { root as project } from '../runner.ts'
import { type CommandOptions, type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const below = suite('a command below a lock')

const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
/** A shell in which `ls` is this build of the command; its script follows. */
const shell = ['--', 'sh', '-c']
const withCommand = (script: string) => `lockstep() { '${process.execPath}' '${main}' "$@"; }; ${script}`
/** Longer than the test may take: a command that waits at all fails it. */
const long = ['--wait', '1h']

const run = (dir: string, words: readonly string[], options?: CommandOptions): Promise<Ended> =>
  lockstep(words, { cwd: dir, isForPeople: true, ...options })

async function newRoot(dir = temporaryRoot()): Promise<string> {
  mkdirSync(dir, { recursive: true })
  const { status, stderr } = await run(dir, ['init', '--nested'])
  is(status, 0, stderr)
  return dir
}

async function typesOf(dir: string, name: string): Promise<string[]> {
  const { json } = await lockstep(['lock', 'history', name], { cwd: dir })
  return ((json.entries ?? []) as { type: string }[]).map(({ type }) => type).reverse()
}

below('works in the innermost ledger, so that no two agents hold one name there', async () => {
  const outer = await newRoot()
  const inner = await newRoot(join(outer, 'other root'))
  const script = withCommand('cd "other root" && lockstep lock run reports -- true && lockstep lock acquire reports')
  const { status, stderr } = await run(outer, ['lock', 'run', 'reports', ...shell, script])
  is(status, 0, stderr)
  equal(await typesOf(inner, 'reports'), ['lock.acquired', 'lock.released', 'lock.acquired'])
  equal(await typesOf(outer, 'reports'), ['lock.acquired', 'lock.released'])
  for (const dir of [inner, outer]) await endsWithVerify(dir)
})

below('renews and releases the lock that its environment names in the ledger of the wrapper', async () => {
  const outer = await newRoot()
  const inner = await newRoot()
  const script = withCommand(
    'cd "$0" && lockstep lock renew reports && lockstep lock renew "$LOCKSTEP_LOCK_ID" && lockstep lock release reports',
  )
  for (const env of [{}, { LOCKSTEP_DIR: inner }]) {
    const words = ['--dir', outer, 'lock', 'run', 'reports', ...shell, script, inner]
    const { status, stderr } = await run(inner, words, { env })
    is(status, 0, stderr)
    equal((await typesOf(outer, 'reports')).slice(-4), [
      'lock.acquired',
      'lock.renewed',
      'lock.renewed',
      'lock.released',
    ])
  }
  const other = withCommand(`lockstep --dir "$0" lock renew reports`)
  const asked = await run(outer, ['lock', 'run', 'reports', ...shell, other, inner])
  match(asked.stderr, 'LOCK_NOT_HELD', 'the option --dir is stronger')
  for (const dir of [inner, outer]) await endsWithVerify(dir)
})

below('gets LOCKSTEP_DIR as it was', async () => {
  const dir = await newRoot()
  const words = ['--dir', dir, 'lock', 'run', 'a', ...shell, 'env | grep ^LOCKSTEP_DIR= || echo unset']
  is((await run(dir, words)).stdout, 'unset\n')
  is((await run(dir, words, { env: { LOCKSTEP_DIR: '/elsewhere' } })).stdout, 'LOCKSTEP_DIR=/elsewhere\n')
})

/** What asks for a lock of which an outer command is the holder. */
const askers: [outer: string[], inner: string][] = [
  [['a'], `lock run resource:a ${long.join(' ')} -- true`],
  [['resource:a'], `lock acquire a ${long.join(' ')}`],
  [['a'], `lock run b -- '${process.execPath}' '${main}' lock run a ${long.join(' ')} -- true`],
  [['--folder', 'DEL-08-05_x'], `lock acquire --folder DEL-08-05_x --pid $$ ${long.join(' ')}`],
]

below('does not wait for its own ancestor: that is contention at once, and says so', async () => {
  const dir = await newRoot()
  mkdirSync(join(dir, 'DEL-08-05_x'))
  const each = async (where: string, asked = askers) => {
    for (const [outer, inner] of asked) {
      const { status, stderr } = await run(dir, ['lock', 'run', ...outer, ...shell, withCommand(`lockstep ${inner}`)])
      is(status, 75, `${where}: ${inner}: ${stderr}`)
      match(stderr, 'a command above this one holds it')
    }
  }
  await each('direct')
  const ledger = await openLedger({ authn: 'os', dir, is_service: true })
  const service = await serve(ledger, { log: false })
  await each('served', askers.slice(0, 2)).finally(async () => {
    await service.close()
    await ledger.close()
  })
  await endsWithVerify(dir)
})

below('waits for everybody else, and for the same name in another ledger', async () => {
  const dir = await newRoot()
  const other = await newRoot()
  is((await run(dir, ['lock', 'acquire', 'b', '--holder', 'somebody'])).status, 0)
  const waits = await run(dir, ['lock', 'run', 'a', ...shell, withCommand('lockstep lock run b --wait 1 -- true')])
  is(waits.status, 8, waits.stderr)
  is((await run(other, ['lock', 'acquire', 'a', '--lease', '1s', '--holder', 'somebody'])).status, 0)
  const script = withCommand('lockstep --dir "$0" lock run a --wait 1m -- true')
  const elsewhere = await run(dir, ['lock', 'run', 'a', ...shell, script, other])
  is(elsewhere.status, 0, elsewhere.stderr)
  for (const root of [dir, other]) await endsWithVerify(root)
})

below.run()
