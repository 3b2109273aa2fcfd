import { suite } from 'uvu'
import { addApiCases } from './api-suite.ts'
import { tlsFactory } from './served-factory.ts'

const api = suite('the operations of a service over TCP with TLS')
addApiCases(api, tlsFactory)
api.run()
