import { suite } from 'uvu'
import { addApiCases } from './api-suite.ts'
import { memoryFactory } from './memory-factory.ts'

const api = suite('the operations of a ledger in memory with delayed loads')
addApiCases(api, memoryFactory)
api.run()
