import { suite } from 'uvu'
import { addApiCases } from './api-suite.ts'
import { inProcessFactory } from './in-process-factory.ts'

const api = suite('the operations of a ledger in this process')
addApiCases(api, inProcessFactory)
api.run()
