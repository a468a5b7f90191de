import { sweep } from './sweep.js'

sweep('cancelled', ['during'])
