import { suite } from 'uvu'
import * as acquire from '../../../fixtures/lock/acquire.ts'
import * as endings from '../../../fixtures/lock/endings.ts'
import { tests } from './table.ts'

const test = suite('lock decisions')

for (const table of Object.values(acquire)) tests(test, table)
for (const table of Object.values(endings)) tests(test, table)

test.run()
