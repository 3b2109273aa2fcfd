import { suite } from 'uvu'
import { addApiCases } from './api-suite.ts'
import { socketFactory } from './served-factory.ts'

const api = suite('the operations of a service over a socket')
addApiCases(api, socketFactory)
api.run()
