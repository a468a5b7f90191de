import { nemesis } from './nemesis.js'

nemesis(1)
