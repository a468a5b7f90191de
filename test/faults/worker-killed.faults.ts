import { sweep } from './sweep.js'

sweep('worker-killed', ['before', 'during', 'after'])
