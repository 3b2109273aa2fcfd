import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { serve } from '../../src/service/serve.ts'
import { type Hooked, toldIn, withHooks } from './hooked.ts'

const changes = suite('changes that go past the hooks before an edit')

const other = { actor_id: 'other', actor_type: 'agent' } as const

function git(dir: string, ...words: string[]): string {
  const as = ['-c', 'user.name=Dev', '-c', 'user.email=dev@example.org', '-c', 'commit.gpgsign=false']
  return execFileSync('git', [...as, ...words], { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** A repository with two files, whose service is asked by hooks. */
function inRepository(work: (hooked: Hooked) => Promise<void>): Promise<void> {
  return withHooks(async (hooked) => {
    const { dir } = hooked
    git(dir, 'init', '--quiet', '--initial-branch=main')
    writeFileSync(join(dir, '.gitignore'), '.lockstep/\nignored/\n')
    writeFileSync(join(dir, 'src/a.js'), '1\n')
    writeFileSync(join(dir, 'src/b.js'), '1\n')
    git(dir, 'add', '.')
    git(dir, 'commit', '--quiet', '-m', 'one')
    for (const file of ['.gitignore', 'src/a.js', 'src/b.js']) utimesSync(join(dir, file), 1e9, 1e9)
    await hooked.call('claude', 'session-start')
    await work(hooked)
  })
}

/** Runs something as the command of an agent, between its two hooks. */
async function shell({ call }: Hooked, id: string, run: () => unknown, more: object = {}): Promise<string> {
  is(await call('claude', 'before-shell', { ...more, tool_use_id: id }), undefined)
  await run()
  return toldIn((await call('claude', 'after-shell', { ...more, tool_use_id: id })) ?? {})
}

const found = async ({ ledger }: Hooked) => {
  const { events } = await ledger.audit.list({ type: 'audit.recorded' })
  return events.filter(({ target }) => target?.name === 'files').map(({ notes, target }) => [target?.operation, notes])
}

changes('by a command are told and recorded, once each', () =>
  inRepository(async (hooked) => {
    const { dir, ledger } = hooked
    await ledger.locks.acquire({ actor: other, holder: 'other', paths: ['src/a.js'], reason: 'renames "x"' })
    const told = await shell(hooked, 't1', () => {
      writeFileSync(join(dir, 'src/a.js'), '2\n')
      writeFileSync(join(dir, 'new.txt'), 'new\n')
      rmSync(join(dir, 'src/b.js'))
      mkdirSync(join(dir, 'ignored'))
      writeFileSync(join(dir, 'ignored/x'), 'x')
    })
    match(told, /"src\/a\.js" \(held by "other", reason "renames \\u\{22\}x\\u\{22\}"\)/)
    match(told, /"new\.txt" \(nobody holds it\)/)
    match(told, /"src\/b\.js" \(nobody holds it\)/)
    not.match(told, /ignored/)
    const notes = 'src/a.js held by other\nsrc/b.js\nnew.txt'
    equal(await found(hooked), [['change.unlocked', notes]])
    is(await shell(hooked, 't2', () => {}), '')
    equal((await found(hooked)).length, 1)
  }),
)

changes('of files that the agent holds are its own', () =>
  inRepository(async (hooked) => {
    await hooked.call('claude', 'before-edit')
    is(await shell(hooked, 't1', () => writeFileSync(join(hooked.dir, 'src/a.js'), '2\n')), '')
    equal(await found(hooked), [])
  }),
)

changes('that another agent made to its own file meanwhile are not the command’s', () =>
  inRepository(async (hooked) => {
    const { call, dir } = hooked
    const second = { session_id: 'second' }
    const told = await shell(hooked, 't1', async () => {
      await call('claude', 'before-edit', second)
      writeFileSync(join(dir, 'src/a.js'), '2\n')
      await call('claude', 'after-edit', second)
    })
    is(told, '')
    // After that edit, it is the command.
    await new Promise((resolve) => setTimeout(resolve, 50))
    match(await shell(hooked, 't2', () => writeFileSync(join(dir, 'src/a.js'), '3\n')), /"src\/a\.js" \(held by/)
  }),
)

changes('are not looked for outside of a repository', () =>
  withHooks(async (hooked) => {
    is(await shell(hooked, 't1', () => writeFileSync(join(hooked.dir, 'src/a.js'), '2\n')), '')
  }),
)

const commits = suite('commits past the guard')

commits('with a file that another agent holds are seen by the next hook, and recorded once', () =>
  inRepository(async (hooked) => {
    const { call, dir, ledger } = hooked
    await ledger.locks.acquire({ actor: other, holder: 'other', paths: ['src/a.js'] })
    writeFileSync(join(dir, 'src/a.js'), '2\n')
    writeFileSync(join(dir, 'src/b.js'), '2\n')
    git(dir, 'commit', '--quiet', '--no-verify', '-am', 'past the guard')
    const id = git(dir, 'rev-parse', 'HEAD').trim()
    const told = toldIn(await call('claude', 'after-edit'))
    match(told, new RegExp(`${id.slice(0, 12)} changes "src/a\\.js" \\(held by "other"\\)`))
    not.match(told, /src\/b\.js/)
    equal(await found(hooked), [['commit.unguarded', `${id}\nsrc/a.js held by other`]])
    is(await call('claude', 'after-edit', { tool_use_id: 't9' }), undefined)
  }),
)

commits('are seen by a service that started after them', () =>
  inRepository(async (hooked) => {
    const { dir, ledger, service } = hooked
    await ledger.locks.acquire({ actor: other, holder: 'other', paths: ['src/a.js'] })
    await service.close()
    writeFileSync(join(dir, 'src/a.js'), '2\n')
    git(dir, 'commit', '--quiet', '--no-verify', '-am', 'past the guard')
    const anew = await serve(ledger, { log: false })
    try {
      match(toldIn(await hooked.call('claude', 'session-start')), /changes "src\/a\.js"/)
    } finally {
      await anew.close()
    }
  }),
)

commits('of the holder, of free files, and of another branch are none', () =>
  inRepository(async (hooked) => {
    const { call, dir, ledger } = hooked
    git(dir, 'checkout', '--quiet', '-b', 'side')
    writeFileSync(join(dir, 'src/a.js'), 'side\n')
    const env = { ...process.env, GIT_COMMITTER_DATE: '2020-01-01T00:00:00Z' }
    const as = ['-c', 'user.name=Dev', '-c', 'user.email=dev@example.org']
    execFileSync('git', [...as, 'commit', '--quiet', '-am', 'old'], { cwd: dir, env })
    git(dir, 'checkout', '--quiet', 'main')
    await call('claude', 'before-edit')
    is(
      await shell(hooked, 't1', () => {
        writeFileSync(join(dir, 'src/a.js'), '2\n')
        git(dir, 'commit', '--quiet', '-am', 'mine')
      }),
      '',
    )
    await ledger.locks.acquire({ actor: other, holder: 'other', paths: ['src/b.js'] })
    is(await call('claude', 'after-edit', { session_id: 'second' }), undefined)
    git(dir, 'merge', '--quiet', '-X', 'ours', 'side', '-m', 'merge')
    is(await call('claude', 'after-edit', { session_id: 'second', tool_use_id: 't2' }), undefined)
    ok((await found(hooked)).length === 0)
  }),
)

changes.run()
commits.run()
