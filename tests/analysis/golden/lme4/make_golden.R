# Writes the inputs and the expected numbers of the mixed-model tests: `Rscript make_golden.R` in this folder.
# Needs R with lme4 and lmerTest. The versions used are in versions.csv.
suppressPackageStartupMessages({library(lme4); library(lmerTest)})

precise <- function(x) if (is.numeric(x)) vapply(x, format, "", digits = 12) else as.character(x)
put <- function(table, file) write.csv(as.data.frame(lapply(table, precise)), file, row.names = FALSE, quote = FALSE)

golden <- function(name, formula, data) {
  put(data, paste0(name, ".csv"))
  tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6), calc.derivs = FALSE)
  fit <- lmerTest::lmer(formula, data, REML = TRUE, control = tight)
  found <- coef(summary(fit, ddf = "Satterthwaite"))
  put(data.frame(name = rownames(found), estimate = found[, 1], se = found[, 2], df = found[, 3], t = found[, 4], p = found[, 5]),
      paste0(name, "_fixed.csv"))
  components <- as.data.frame(VarCorr(fit))
  put(data.frame(name = c(ifelse(components$grp == "Residual", "residual", components$grp), "criterion"),
                 variance = c(components$vcov, REMLcrit(fit))), paste0(name, "_components.csv"))
  levels <- as.data.frame(ranef(fit, condVar = TRUE))
  put(data.frame(factor = levels$grpvar, level = as.character(levels$grp), effect = levels$condval, sd = levels$condsd),
      paste0(name, "_levels.csv"))
}

# One row per stage and receiver, as a study of n languages in several orders gives them.
simulate <- function(n, orders, sd, slope, covariate, learned_only) {
  rows <- list()
  u <- lapply(sd[c("donor", "receiver")], function(s) rnorm(n, 0, s))
  pair <- matrix(rnorm(n * n, 0, sd["pair"]), n)
  x <- rbinom(n, 1, 0.5)
  for (o in seq_len(orders)) {
    trained <- sample(n)
    shift <- rnorm(1, 0, sd["order"])
    for (s in 2:n) {
      a <- trained[s]
      receivers <- if (learned_only) trained[seq_len(s - 1)] else setdiff(trained, a)
      shock <- rnorm(1, 0, sd["stage"])
      y <- u$donor[a] + u$receiver[receivers] + pair[a, receivers] + shift + shock + slope * log(s - 1) +
        covariate * (x[a] == x[receivers]) + rnorm(length(receivers), 0, sd["residual"])
      rows[[length(rows) + 1]] <- data.frame(y = y, order = o, donor = a, receiver = receivers, stage = 100 * o + a,
        pair = 100 * a + receivers, position = log(s - 1), same = as.integer(x[a] == x[receivers]))
    }
  }
  do.call(rbind, rows)
}

golden("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin)
golden("pastes", strength ~ 1 + (1 | batch) + (1 | sample), Pastes[c("strength", "batch", "sample")])
golden("sleepstudy", Reaction ~ Days + (1 | Subject), sleepstudy)
golden("dyestuff2", Yield ~ 1 + (1 | Batch), Dyestuff2)  # its variance is estimated as 0
golden("insteval", y ~ service + (1 | s) + (1 | d),
       transform(subset(InstEval, as.integer(s) <= 40), s = factor(s), d = factor(d), service = as.integer(service) - 1)[c("y", "s", "d", "service")])

crossed <- y ~ 1 + (1 | donor) + (1 | receiver) + (1 | pair) + (1 | order) + (1 | stage)
set.seed(1)
golden("changes", crossed, simulate(12, 4, c(donor = 1, receiver = .6, pair = .4, order = .3, stage = .5, residual = .5), 0, 0, FALSE))
set.seed(2)
golden("changes_covariate", update(crossed, . ~ position + same + .),
       simulate(14, 5, c(donor = .8, receiver = .5, pair = 0.5, order = 0, stage = .4, residual = .6), .3, .5, TRUE))
put(data.frame(what = c("R", "lme4", "lmerTest"), version = c(paste(R.version$major, R.version$minor, sep = "."),
    as.character(packageVersion("lme4")), as.character(packageVersion("lmerTest")))), "versions.csv")
