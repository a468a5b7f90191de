import { sweep } from './sweep.js'

sweep('temporal-killed', ['during'])
