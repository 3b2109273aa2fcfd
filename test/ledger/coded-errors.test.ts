import { suite } from 'uvu'
import { equal, is, throws } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { codedError, codeErrorsOf } from '../../src/writer/coded-errors.ts'

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

coded('each method of a class, whether it answers at once or later; this and its answers stay', async () => {
  class Things {
    readonly #secret = 7
    now(what: string) {
      if (what === 'fail') throw system('EIO')
      return this.#secret
    }
    async later(what: string) {
      return this.now(what)
    }
    get size() {
      return this.#secret
    }
  }
  codeErrorsOf(Things)
  const things = new Things()
  equal(
    [things.now('x'), await things.later('x'), things.size, things.now.length, things.now.name],
    [7, 7, 7, 1, 'now'],
  )
  throws(
    () => things.now('fail'),
    (error: LockstepError) => error.code === 'FILE_FAILED' && error.message.startsWith('things.now: '),
  )
  const error = await things.later('fail').catch((thrown: unknown) => thrown)
  is((error as LockstepError).code, 'FILE_FAILED')
})

coded.run()
