import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { restoreBackup } from '../../../src/backup/restore.ts'
import { endsWithVerify, testActor } from '../../support/ledger.ts'
import { all, becca, type Cases, first, newName, refused, type Stage } from '../stage.ts'

const elsewhere = `postgresql:${'0123456789abcdef'.repeat(2)}`

const append = ({ api }: Stage, count = 3) =>
  api.audit.append({ events: Array.from({ length: count }, () => ({ action_type: 'system', outcome: 'success' })) })

export const head: Cases<'head'> = {
  of: {
    get: {
      'is the size and the root of what is published': async (stage) => {
        const before = await stage.api.head.get()
        await append(stage)
        is((await stage.api.head.get()).size, before.size + 3)
        equal(await stage.api.head.get(), await stage.api.head.get({}))
      },
    },
    signed: {
      'is signed, now and at an earlier size': async (stage) => {
        const now = await stage.api.head.signed()
        await append(stage)
        equal(await stage.api.head.signed({ size: now.size }), now)
        await refused(stage.api.head.signed({ size: now.size + 100 }), 'INVALID_INPUT')
      },
      'is not there without the key': (stage) =>
        stage.apart({}, async ({ api, root }) => {
          for (const name of ['key', 'key.pub']) rmSync(join(root, '.lockstep', name), { force: true })
          await refused(api.head.signed(), 'KEY_MISSING')
          await refused(api.log.prove({ seq: 0 }), 'KEY_MISSING')
        }),
    },
  },
}

export const log: Cases<'log'> = {
  of: {
    entry: {
      'is the entry at a seq': async (stage) => {
        is((await stage.api.log.entry({ seq: 0 })).type, 'ledger.created')
        await refused(stage.api.log.entry({ seq: 1_000_000 }), 'NOT_FOUND')
      },
    },
    read: {
      'gives a range, as it is at the call': async (stage) => {
        await append(stage)
        const { size } = await stage.api.head.get()
        is((await all(stage.api.log.read())).length, size)
        equal(
          (await all(stage.api.log.read({ from: 1, to: 3 }))).map(({ seq }) => seq),
          [1, 2],
        )
        equal(await all(stage.api.log.read({ from: size })), [])
        const stop = new AbortController()
        stop.abort()
        await refused(all(stage.api.log.read({}, { signal: stop.signal })), 'ABORTED')
        await refused(all(stage.api.log.read({ from: -1 })), 'INVALID_INPUT')
      },
    },
    subscribe: {
      'gives what is there, then what comes, until the signal aborts': async (stage) => {
        const { size } = await stage.api.head.get()
        const coming = first(3, (options) => stage.api.log.subscribe(undefined, options))
        const whole = first(size + 3, (options) => stage.api.log.subscribe({ from: 0 }, options))
        await append(stage)
        equal(
          (await coming).map(({ seq }) => seq),
          [size, size + 1, size + 2],
        )
        equal(
          (await whole).map(({ seq }) => seq),
          Array.from({ length: size + 3 }, (_, seq) => seq),
        )
      },
    },
    prove: {
      'proves an entry in the tree of a size': async (stage) => {
        await append(stage)
        const { seq, size } = await stage.api.log.prove({ seq: 1 })
        equal([seq, size], [1, (await stage.api.head.get()).size])
        is((await stage.api.log.prove({ seq: 1, size: 2 })).size, 2)
        await refused(stage.api.log.prove({ seq: 2, size: 2 }), 'NOT_FOUND')
        await refused(stage.api.log.prove({ seq: 0, size: 1_000_000 }), 'INVALID_INPUT')
      },
    },
    consistency: {
      'proves that a tree begins with another': async (stage) => {
        await append(stage)
        const { from, to } = await stage.api.log.consistency({ from: 2 })
        equal([from, to], [2, (await stage.api.head.get()).size])
        await refused(stage.api.log.consistency({ from: 3, to: 2 }), 'INVALID_INPUT')
      },
    },
    backup: {
      'is a new file, with the tree head of one moment': async (stage) => {
        const file = `${newName('backup')}.tar.gz`
        const written = await stage.api.log.backup({ file })
        const { checkpoint, root, size } = await stage.api.head.signed()
        equal([written.checkpoint, written.root, written.size], [checkpoint, root, size])
        ok(written.file.startsWith(`${stage.root}/`), 'a relative path is below the root')
        await refused(stage.api.log.backup({ file }), 'INVALID_INPUT')
        await refused(stage.api.log.backup({ file: 'nowhere/backup.tar.gz' }), 'NOT_FOUND')
        const target = join(stage.root, newName('restored'))
        const restored = await restoreBackup({ actor: testActor, dir: target, file: written.file, nested: true })
        equal([restored.previous.root, restored.size], [root, size + 1])
        is((await endsWithVerify(target)).size, size + 1)
      },
    },
    seal: {
      'ends the ledger in its place: reading goes on, and every command is refused': (stage) =>
        stage.apart({}, async (here) => {
          const { api } = here
          const { lock_id } = await api.locks.acquire({ name: newName('lock'), holder: 'agent-1' })
          const before = await api.head.get()
          const sealed = await api.log.seal({ actor: becca, to: elsewhere })
          equal([sealed.seq, sealed.size, sealed.to], [before.size, before.size + 1, elsewhere])
          equal((await api.log.entry({ seq: sealed.seq })).data, { to: elsewhere })
          equal(await api.head.signed(), { ...(await api.head.signed()), checkpoint: sealed.checkpoint })
          const error = await refused(append(here), 'LEDGER_SEALED')
          equal([error.details.moved_to, error.details.seq], [elsewhere, sealed.seq])
          ok(/a PostgreSQL database/.test(error.message), error.message)
          await refused(api.locks.release({ lock_id }), 'LEDGER_SEALED')
          await refused(api.config.reload({ actor: becca }), 'LEDGER_SEALED')
          equal(await api.log.seal({ actor: becca, to: elsewhere }), sealed)
          await refused(api.log.seal({ actor: becca, to: elsewhere.replace('0', '1') }), 'LEDGER_SEALED')
          await refused(api.log.seal({ to: elsewhere }), 'SEAL_DENIED')
          is((await api.log.backup({ file: `${newName('backup')}.tar.gz` })).size, sealed.size)
          equal(await api.head.get(), { ...before, root: sealed.root, size: sealed.size })
        }),
      'is for the release authority and operators': (stage) =>
        stage.apart({}, async (here) => {
          await refused(here.api.log.seal({ to: elsewhere }), 'SEAL_DENIED')
          await refused(here.api.log.seal({ actor: becca, to: 'postgres://user:secret@host/db' }), 'INVALID_INPUT')
          await append(here)
        }),
      'is refused without the key, because it could not be signed': (stage) =>
        stage.apart({}, async (here) => {
          rmSync(join(here.root, '.lockstep', 'key'))
          await refused(here.api.log.seal({ actor: becca, to: elsewhere }), 'KEY_MISSING')
          await append(here)
        }),
      'refuses callers in line for a lock': (stage) =>
        stage.apart({}, async (here) => {
          const { api } = here
          const name = newName('lock')
          await api.locks.acquire({ name, holder: 'agent-1' })
          const waiting = api.locks.acquire({ name, holder: 'agent-2', wait_s: 60 })
          const outcome = refused(waiting, 'LEDGER_SEALED')
          await append(here)
          await api.log.seal({ actor: becca, to: elsewhere })
          await outcome
        }),
    },
    verify: {
      'reads all of it': async (stage) => {
        is((await stage.api.log.verify()).entries, (await stage.api.head.get()).size)
      },
    },
  },
}
