import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import { type Entry, entryOf } from '../../src/kernel/entry.ts'
import { eventIdOf } from '../../src/kernel/ids.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { temporaryRoot, testActor, testClock, withLedger } from '../support/ledger.ts'
import { logOf, sampleEntries, sampleMeta } from '../support/log-of.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'

const paths = suite('path locks of a ledger')
const seed = printedSeed('path locks of a ledger')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 4) * 5

/** A log with the grants of paths, as somebody could make it who can write everything below `.lockstep`. */
async function forged(...grants: { paths: string[]; previous: (string | null)[]; shared?: true }[]): Promise<string> {
  const entries: Entry[] = [...sampleEntries(1)]
  for (const [index, { paths: held, previous, shared }] of grants.entries()) {
    const [lock_ref, seq] = [String(index).repeat(16), index + 1]
    const data = {
      acquired: '2026-01-01T00:00:00.000Z',
      evidence: [],
      expires_at: '2026-01-01T00:10:00.000Z',
      holder: 'agent-1',
      host_id: 'test-host',
      kind: 'path',
      lease_clock: { boot_id: 'b', boot_ms: 1 },
      lease_duration_s: 600,
      lock_ref,
      name: `path:${held[0]}`,
      paths: held,
      previous,
      ...(shared === undefined ? {} : { shared }),
    }
    const draft = { type: 'lock.acquired', stream: `path/${lock_ref}`, data }
    const place = {
      actor: testActor,
      correlationId: undefined,
      previous: null,
      request: undefined,
      wallTime: undefined,
    }
    const eventId = eventIdOf(sampleMeta.ledger_id, seq)
    entries.push(entryOf(draft, { ...place, eventId, seq, time: '2026-01-01T00:00:01.000Z' }))
  }
  const { log } = await logOf(entries)
  const error = await verifyLog(log, layoutOf(temporaryRoot()), defaultConfig).catch((thrown: unknown) => thrown)
  if (!(error instanceof LockstepError)) throw new Error('the log was verified')
  return `${error.code} ${error.details.check} at ${error.details.seq}`
}

paths('a grant that excludes one that is still held is found in a forged log', async () => {
  const free = [null]
  const under = { paths: ['src/a.js'], previous: free }
  is(await forged({ paths: ['src/'], previous: free }, under), 'VERIFY_FAILED paths at 2')
  is(await forged(under, { paths: ['src/'], previous: free, shared: true }), 'VERIFY_FAILED paths at 2')
  is(await forged(under, { ...under, previous: ['0'.repeat(16)] }), 'VERIFY_FAILED paths at 2')
})

paths('a grant that hides the one before it is found in a forged log', async () => {
  const shared = { paths: ['src/a.js'], previous: [null], shared: true as const }
  is(await forged(shared, shared), 'VERIFY_FAILED paths at 2')
})

function git(folder: string, ...words: string[]): void {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.example']
  execFileSync('git', [...identity, '-C', folder, ...words], { stdio: 'ignore' })
}

/** Two linked worktrees of a repository with some files and links, the main one last. */
function worktreesOf(given: string): string[] {
  const root = realpathSync(given)
  for (const file of ['src/a.js', 'src/deep/b.js', 'lib/c.js']) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), '')
  }
  symlinkSync('src/deep', join(root, 'link'))
  git(root, 'init', '-q')
  git(root, 'add', 'src', 'lib', 'link')
  git(root, 'commit', '-qm', 'one')
  const tops = [join(realpathSync(temporaryRoot()), 'one'), join(root, '.worktrees/two')]
  for (const top of tops) git(root, 'worktree', 'add', '-q', top)
  return [...tops, root]
}

paths('one file in three worktrees is one lock, and the report names the worktree of its holder', () =>
  withLedger(async (ledger, root) => {
    const tops = worktreesOf(root)
    const wanted = tops.map((top) =>
      ledger.locks.acquire({ holder: top, paths: [join(top, 'src/a.js')] }).catch((error: unknown) => error),
    )
    const answers = await Promise.all(wanted)
    const refused = answers.filter((answer) => answer instanceof LockstepError)
    const [grant] = answers.filter((answer) => !(answer instanceof LockstepError)) as {
      holder: string
      worktree: string
    }[]
    is(refused.length, 2)
    is(grant?.worktree, grant?.holder)
    for (const { code, details } of refused) {
      equal([code, details.name, details.worktree], ['LOCK_CONTENTION', 'path:src/a.js', grant?.worktree])
    }
  }).catch(asPlainError),
)

interface Try {
  lease: number
  path: string
  release: boolean
  shared: boolean
  top: number
}

/** Names of one file or folder of the model, as callers write them. The first is the normal form. */
const written: readonly (readonly [normal: string, ...others: string[]])[] = [
  ['src/a.js', './src//a.js', 'src/deep/../a.js'],
  ['src/', 'src', 'lib/../src'],
  ['src/deep/b.js', 'link/b.js', './link/./b.js'],
  ['src/deep/', 'src/deep', 'link/.'],
  ['src/\u00e9.js', 'src/e\u0301.js'],
  ['lib/moved.js', 'lib/./moved.js'],
  ['./', '.'],
]
const oneTry: fc.Arbitrary<Try> = fc.record({
  lease: fc.constantFrom(1, 600),
  path: fc.constantFrom(...written.flat()),
  release: fc.boolean(),
  shared: fc.boolean(),
  top: fc.nat(2),
})

function overlap(one: string, other: string): boolean {
  const covers = (tree: string, path: string) => tree === './' || (tree.endsWith('/') && path.startsWith(tree))
  return one === other || covers(one, other) || covers(other, one)
}

paths('of all that callers write in worktrees, no two grants exclude each other, and every refusal is real', () =>
  withClock(async (ledger, root, clock) => {
    const tops = worktreesOf(root)
    for (const top of tops) if (top !== tops[2]) renameSync(join(top, 'lib/c.js'), join(top, 'lib/moved.js'))
    let millis = 0
    const property = fc.asyncProperty(fc.array(oneTry, { maxLength: 25, minLength: 1, size: 'max' }), async (tries) => {
      const held: { ends: number; lock_id: string; normal: string; shared: boolean }[] = []
      for (const { lease, path, release, shared, top } of tries) {
        const normal = written.find((forms) => forms.includes(path))?.[0] ?? ''
        const request = { holder: 'agent', lease_duration_s: lease, paths: [`${tops[top]}/${path}`], shared }
        const grant = await ledger.locks.acquire(request).catch((error: unknown) => error)
        const live = held.filter((one) => one.ends > millis && !(one.shared && shared) && overlap(one.normal, normal))
        if (grant instanceof LockstepError) {
          is(grant.code, 'LOCK_CONTENTION', grant.message)
          const named = String(grant.details.held_name ?? grant.details.name).slice('path:'.length)
          ok(
            live.some((one) => one.normal === named),
            `${named} is held`,
          )
        } else {
          equal(live, [], `${path} was granted`)
          held.push({ ends: millis + lease * 1000, lock_id: (grant as { lock_id: string }).lock_id, normal, shared })
        }
        clock.advance(100)
        millis += 100
        const first = release ? held.shift() : undefined
        if (first !== undefined) await ledger.locks.release({ lock_id: first.lock_id }).catch(heldNoMore)
      }
      for (const { lock_id } of held) await ledger.locks.release({ lock_id }).catch(heldNoMore)
    })
    // A failed sequence leaves its grants behind, so it is not shrunk.
    const { counterexample, errorInstance, failed } = await fc.check(property, {
      endOnFailure: true,
      numRuns: rounds,
      seed,
    })
    if (failed) throw new Error(`${JSON.stringify(counterexample)}\n${String(errorInstance)}`)
  }).catch(asPlainError),
)

/** The grant was an orphan, and another caller recovered it. */
function heldNoMore(error: unknown): void {
  if (!(error instanceof LockstepError) || error.code !== 'LOCK_NOT_HELD') throw error
}

function withClock(work: (ledger: LocalLedger, root: string, clock: ReturnType<typeof testClock>) => Promise<void>) {
  const clock = testClock()
  return withLedger((ledger, root) => work(ledger, root, clock), { now: clock.now })
}

paths.run()
