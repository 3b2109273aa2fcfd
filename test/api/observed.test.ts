import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Api } from '../../src/api/api.ts'
import { type Code, LockstepError } from '../../src/errors.ts'
import { type Observed, observed } from './observed.ts'
import { all, refused } from './stage.ts'

const test = suite('the checks of the API suite')
const head = { origin: 'a', root: 'ab'.repeat(32), size: 1 }

/** A ledger whose head is as a test says, checked. */
function ledger(get: () => unknown) {
  const seen = new Map<string, Observed>()
  const log = {
    read: async function* () {
      yield get()
    },
  }
  const api = observed({ head: { get: async () => get() }, log } as unknown as Api, seen)
  return { api, note: (name: string) => seen.get(name) }
}

const failing = (code: Code) => () => {
  throw new LockstepError(code, 'made up')
}

async function failure(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  ok(error instanceof Error && !(error instanceof LockstepError), 'the call passed the checks')
  return error.message
}

test('an answer that fits is noted with its input', async () => {
  const { api, note } = ledger(() => head)
  equal([await api.head.get({}), note('head.get')], [head, { codes: new Set(), input: {} }])
})

test('an answer with a member too many, too few, or of another type fails', async () => {
  for (const wrong of [{ ...head, more: 1 }, { origin: 'a' }, { ...head, size: '1' }, undefined, []]) {
    const { api, note } = ledger(() => wrong)
    ok((await failure(api.head.get())).includes('head.get'))
    is(note('head.get')?.input, undefined)
    ok((await failure(all(api.log.read()))).includes('log.read'))
  }
})

test('an answer that is not plain data fails', async () => {
  class Head {
    origin = 'a'
    root = head.root
    size = 1
  }
  for (const wrong of [
    new Head(),
    { ...head, extra: undefined },
    { ...head, size: Number.NaN },
    { ...head, now: new Date() },
  ]) {
    const { api } = ledger(() => wrong)
    ok((await failure(api.head.get())).includes('is not plain data'))
  }
})

test('an input that is not plain data fails', async () => {
  const { api } = ledger(() => head)
  ok((await failure(api.head.get({ signal: new AbortController().signal } as never))).includes('the input'))
})

test('a code that the table lists is noted; any other code fails', async () => {
  const { api, note } = ledger(failing('LEDGER_CLOSED'))
  await refused(api.head.get(), 'LEDGER_CLOSED')
  ok(note('head.get')?.codes.has('LEDGER_CLOSED'))
  const unlisted = ledger(failing('LOCK_CONTENTION')).api
  ok((await failure(unlisted.head.get())).includes('which its table does not list'))
  ok((await failure(all(unlisted.log.read()))).includes('which its table does not list'))
})

test.run()
