import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { given } from '../../src/kernel/given.ts'

const members = suite('given')

members('leaves out undefined members and keeps all others, in order', () => {
  const found = given({ b: null, a: 0, gone: undefined, c: '', d: false })
  equal(found, { b: null, a: 0, c: '', d: false })
  equal(Object.keys(found), ['b', 'a', 'c', 'd'])
})

members.run()
