import { sweep } from './sweep.js'

sweep('reset', ['during'])
