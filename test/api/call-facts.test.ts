import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { type OperationName, takesActor, takesKey, waits } from '../../src/api/call-facts.ts'
import { membersOf, unwrapped } from '../../src/api/hints.ts'
import { formsOf } from '../../src/api/operation.ts'
import { everyOperation } from '../../src/api/operations.ts'

const test = suite('the facts about calls that are known without schemas')

test('agree with the tables', () => {
  for (const { facts, name: text } of everyOperation()) {
    const name = text as OperationName
    for (const input of [{}, { wait_s: 0 }, { wait_s: 5 }]) {
      is(waits(name, input), facts.waits?.(input) ?? false, `${name} ${JSON.stringify(input)}`)
    }
    for (const [form, schema] of formsOf(facts)) {
      const members = membersOf(unwrapped(schema, 'input')).map(([member]) => member)
      const input = form === '' ? {} : { [form]: 'x' }
      equal(
        [takesActor(name, facts.kind, input), takesKey(name, facts.kind)],
        [members.includes('actor'), members.includes('idempotency_key')],
        `${name} ${form}`,
      )
    }
  }
})

test.run()
