import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf } from '../support/entries.ts'
import { becca, fileOf, lock, name, run_id, secondRun, seven, three } from '../support/projects.ts'
import { put, type Scene, scene } from '../support/scene.ts'

const released = { ...seven, status: 'RELEASED', run_id: 'run_x', lock_owner: 'run_x' }
const shop = { target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id: 'run_ACME_shop_2026-02-02_001' }
const { lock_reason: _, ...six } = seven

const only = suite('only status: LOCKED blocks a project (run lock template, Validation Rules)')

for (const [what, content] of Object.entries({
  'just the seven members': released,
  'an eighth member': { ...released, ...three, note: 'archived' },
  'no members besides its status': { status: 'RELEASED' },
  'another form of time': { ...released, lock_time: '20260202T120000Z' },
})) {
  only(
    `a RELEASED file with ${what} blocks nobody, and is not to be imported`,
    scene(async (stage) => {
      put(stage.root, fileOf('run_x'), JSON.stringify(content))
      is((await lock(stage)).current, true)
      equal((await stage.ledger.locks.unknownFiles()).files, [])
    }),
  )
}

only(
  'a RELEASED file of this very run is RUN_LOCK_RELEASED, also without a readable rest',
  scene(async (stage) => {
    put(stage.root, fileOf(run_id), JSON.stringify({ status: 'RELEASED' }))
    is((await refusalOf(lock(stage))).code, 'RUN_LOCK_RELEASED')
  }),
)

only(
  'a LOCKED file with one more member, or another form of time, blocks its own project and is imported',
  scene(async (stage) => {
    const { ledger, root } = stage
    const more = { ...seven, ...shop, lock_owner: shop.run_id, lock_time: '2026-02-02T12:00+0000', note: 'mine' }
    const path = put(root, fileOf(shop.run_id), JSON.stringify(more))
    is((await lock(stage)).current, true)
    const { code, details } = await refusalOf(lock(stage, { ...shop, run_id: 'run_ACME_shop_2026-02-02_002' }))
    equal([code, details.path, details.acquired], ['LOCK_CONTENTION', path, '2026-02-02T12:00:00Z'])
    equal((await ledger.locks.unknownFiles()).files, [path])
    await ledger.locks.importFile({ file: path })
    is((await lastOf(ledger, 'lock.acquired')).data.acquired, '2026-02-02T12:00:00.000Z')
  }),
)

only.run()

const standing = suite('a project is free only when neither a grant nor a file stands')

standing(
  'status shows the file that blocks it, and nothing else',
  scene(async (stage) => {
    const { ledger, root } = stage
    is((await refusalOf(ledger.locks.status({ name }))).code, 'NOT_FOUND')
    put(root, fileOf(secondRun), JSON.stringify({ ...seven, run_id: secondRun, lock_owner: secondRun }))
    const held = await ledger.locks.status({ name })
    equal([held.state, held.holder, held.run_id, held.token], ['held', secondRun, secondRun, undefined])
    equal([held.acquired, held.folder], [seven.lock_time, `runtime/runs/${secondRun}`])
    writeFileSync(join(root, fileOf(secondRun)), 'cut')
    const cut = await ledger.locks.status({ name })
    equal([cut.state, cut.orphan_reason, cut.holder], ['orphan', 'unreadable', 'unreadable'])
    is((await refusalOf(ledger.locks.status({ name: 'project:ACME/SITE/shop' }))).code, 'NOT_FOUND')
    put(root, fileOf(secondRun), JSON.stringify({ status: 'RELEASED' }))
    const lease = await lock(stage)
    is((await ledger.locks.status({ name })).token, lease.token)
  }),
)

standing.run()

const unreadable = suite('a RUN_LOCK.json that cannot be read')

const broken: Record<string, (path: string) => void> = {
  'is empty': (path) => writeFileSync(path, ''),
  'is cut': (path) => writeFileSync(path, JSON.stringify(seven).slice(0, 50)),
  'is no object': (path) => writeFileSync(path, '"LOCKED"'),
  'has another status': (path) => writeFileSync(path, JSON.stringify({ ...seven, status: 'locked' })),
  'lacks a member': (path) => writeFileSync(path, JSON.stringify(six)),
  'is a pipe': (path) => execFileSync('mkfifo', [path]),
  'is a folder': (path) => mkdirSync(path),
}
function breakAt({ root }: Scene, where: string, make: (path: string) => void): string {
  const path = join(root, where)
  mkdirSync(dirname(path), { recursive: true })
  make(path)
  return path
}

for (const [what, make] of Object.entries(broken)) {
  unreadable(
    `because it ${what} blocks its own project, by the run_id in its path, and no other`,
    scene(async (stage) => {
      const path = breakAt(stage, fileOf(secondRun), make)
      is((await lock(stage, shop)).current, true)
      const { code, details } = await refusalOf(lock(stage))
      equal([code, details.path, details.blocking_run_id], ['LOCK_CONTENTION', path, secondRun])
      equal((await stage.ledger.locks.unknownFiles()).files, [path])
      const { message } = await refusalOf(stage.ledger.locks.importFile({ file: path }))
      match(message, 'cannot be read')
    }),
  )
}

const cut = (path: string) => writeFileSync(path, 'cut')

unreadable(
  'whose path names no project blocks the acquires under its runs directory',
  scene(async (stage) => {
    const path = breakAt(stage, `projects/ACME/SITE/shop/${fileOf('run_x')}`, cut)
    is((await lock(stage)).current, true)
    is((await refusalOf(lock(stage, shop))).details.path, path)
    const all = breakAt(stage, fileOf('RUN-17'), cut)
    const garden = { target_name: 'IAMBECCA | ACME | SITE | garden | NEO', run_id: 'run_ACME_garden_2026-02-02_001' }
    is((await refusalOf(lock(stage, garden))).details.path, all)
  }),
)

unreadable(
  'of a run that the ledger knows blocks nobody: the ledger decides',
  scene(async (stage) => {
    await lock(stage, shop)
    writeFileSync(join(stage.root, fileOf(shop.run_id)), 'cut')
    is((await lock(stage)).current, true)
    is((await refusalOf(lock(stage, { ...shop, run_id: 'run_ACME_shop_2026-02-02_002' }))).details.holder, shop.run_id)
    const ended = { run_id: shop.run_id, final_status: 'COMPLETE', actor: becca } as const
    await stage.ledger.locks.release(ended)
    is((await lock(stage, { ...shop, run_id: 'run_ACME_shop_2026-02-02_002' })).current, true)
    equal((await stage.ledger.locks.unknownFiles()).files, [])
  }),
)

unreadable(
  'does not hide that another run holds the lock',
  scene(async (stage) => {
    await lock(stage)
    breakAt(stage, fileOf('run_x'), cut)
    is((await refusalOf(lock(stage, { run_id: secondRun }))).details.blocking_run_id, undefined)
  }),
)

unreadable.run()

const hints = suite('the hint of a blocking file')

/** Makes the call that the command in a hint makes. */
async function follow({ ledger }: Scene, hint = ''): Promise<void> {
  const commands = [...hint.matchAll(/"lockstep ([^"]*)"/g)].map(([, command = '']) => command)
  const words = (commands[0] ?? '').match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", '')) ?? []
  const actor = words[0] === '--actor' ? { actor_id: String(words[1]), actor_type: 'human' as const } : undefined
  const set_aside = words.includes('--set-aside')
  const file = words.find((word) => word.endsWith('RUN_LOCK.json')) ?? ''
  ok(words.join(' ').includes('lock import'), hint)
  await ledger.locks.importFile({ file, set_aside, reason: 'as the hint says', actor })
}

const lockedFiles: Record<string, object> = {
  'that can be imported': { ...seven, run_id: secondRun, lock_owner: secondRun },
  'of another owner': { ...seven, run_id: secondRun },
  'with a run_id that is not its folder’s': { ...seven, run_id: 'run_y', lock_owner: 'run_y' },
  'with a legacy target': { ...seven, run_id: secondRun, lock_owner: secondRun, target_name: 'iambecca-test-run' },
  'that no condition releases': { ...seven, run_id: secondRun, lock_owner: secondRun, release_conditions: ['done'] },
}
for (const [what, content] of Object.entries(lockedFiles)) {
  hints(
    `${what} is a command that works`,
    scene(async (stage) => {
      const path = put(stage.root, fileOf(secondRun), JSON.stringify(content))
      const { hint } = await refusalOf(lock(stage))
      await follow(stage, hint)
      is(existsSync(path), what === 'that can be imported')
      if (what === 'that can be imported') is((await stage.ledger.locks.status({ name })).run_id, secondRun)
      else is((await lock(stage)).current, true)
    }),
  )
}
for (const [what, make] of Object.entries(broken)) {
  hints(
    `that cannot be read, because it ${what}, is a command that works`,
    scene(async (stage) => {
      const path = breakAt(
        stage,
        'projects/TEST001/GOVERNANCE/iambecca-test-run/runtime/runs/run x/RUN_LOCK.json',
        make,
      )
      const { hint } = await refusalOf(lock(stage))
      match(hint ?? '', 'lockstep --actor BECCA lock import --set-aside')
      await follow(stage, hint)
      not(existsSync(path))
      is((await lock(stage)).current, true)
    }),
  )
}

hints.run()
