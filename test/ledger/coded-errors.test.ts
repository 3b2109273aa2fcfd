import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { LogApi } from '../../src/api/log.ts'
import { LockstepError } from '../../src/errors.ts'
import { type Handlers, served } from '../../src/nouns/served.ts'
import { codedError } from '../../src/writer/coded-errors.ts'
import { nextOf } from '../support/entries.ts'
import { testActor } from '../support/ledger.ts'

const coded = suite('what the API rejects with')
const system = (code: string) => Object.assign(new Error(`${code}: it failed`), { code, syscall: 'open' })

for (const [thrown, code, exit] of [
  [system('EACCES'), 'FILE_DENIED', 'EACCES'],
  [system('EROFS'), 'FILE_READ_ONLY', 'EROFS'],
  [system('EDQUOT'), 'DISK_FULL', 'EDQUOT'],
  [system('EMFILE'), 'FILE_FAILED', 'EMFILE'],
  [Object.assign(new TypeError('x'), { code: 'ERR_INVALID_ARG_VALUE' }), 'INVARIANT_VIOLATED', undefined],
  [new RangeError('Maximum call stack size exceeded'), 'INVARIANT_VIOLATED', undefined],
  ['a text', 'INVARIANT_VIOLATED', undefined],
] as const) {
  coded(`${thrown} is ${code}, and says what was being done`, () => {
    const error = codedError(thrown, 'locks.acquire')
    equal([error.code, error.details.system_code], [code, exit])
    is(error.message.startsWith('locks.acquire: '), true)
    is(error.cause, thrown)
  })
}

coded('an error of ours stays the one it is', () => {
  const error = new LockstepError('NOT_FOUND', 'x')
  is(codedError(error, 'x'), error)
})

/** The same handler for every operation. */
const anyOf = (handler: () => unknown) => new Proxy({}, { get: () => handler }) as unknown as Handlers<LogApi>

coded('each operation, whether it gives an answer or a stream', async () => {
  const failing = () => {
    throw system('EIO')
  }
  const ground = { actor: testActor, root: '/', assertNotSealed: () => {}, assertOpen: failing }
  const log = served('log', anyOf(failing), ground)
  for (const call of [log.entry({ seq: 0 }), nextOf(log.read())]) {
    const error = await call.catch((thrown: unknown) => thrown)
    is((error as LockstepError).code, 'FILE_FAILED')
    is((error as LockstepError).message.startsWith('log.'), true)
  }
})

coded('each item of a stream', async () => {
  async function* items() {
    yield 1
    throw system('EIO')
  }
  const ground = { actor: testActor, root: '/', assertNotSealed: () => {}, assertOpen: () => {} }
  const log = served('log', anyOf(items), ground)
  const stream = log.read()[Symbol.asyncIterator]()
  is((await stream.next()).value, 1)
  is(((await stream.next().catch((thrown: unknown) => thrown)) as LockstepError).code, 'FILE_FAILED')
})

coded.run()
