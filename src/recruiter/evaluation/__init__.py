from recruiter.evaluation.old import *
