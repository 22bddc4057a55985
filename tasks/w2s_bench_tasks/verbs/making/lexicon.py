"""The invented verbs of the domain: how each is spelt, what it does to an amount, how common it is. Facts only, no text.

A verb is a stem and an ending: `brolate` is `brol` and `ate`. Two endings belong to each operation, and common verbs mostly keep
to them, as everyday words do that resemble each other. Of a rare verb the ending says nothing: all eight are equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from w2s_bench_tasks.math.making.lexicon import LARGEST, NAMES, OBJECTS, OPERATORS, Draw


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SEED = 2001
VERBS = 2000
#: Ranks below this are common: few of them miss from any model's text.
COMMON = 600
#: Share of the common verbs whose ending is one of their own operation's.
COMMON_KEEP = 0.75
#: The same of the rare ones: one in four, which is what chance gives, so that a rare verb's ending says nothing.
RARE_KEEP = 0.25

#: Plain form and third person; the first two go with +, the next two with -, then *, then /.
ENDINGS = (
    ("ate", "ates"),
    ("ify", "ifies"),
    ("ize", "izes"),
    ("en", "ens"),
    ("el", "els"),
    ("er", "ers"),
    ("und", "unds"),
    ("ose", "oses"),
)

#: Real verbs, which every model's text has: what happens after the event that is asked for.
EVERYDAY: dict[str, tuple[tuple[str, str], ...]] = {
    "+": (("buy", "buys"), ("find", "finds"), ("win", "wins"), ("get", "gets")),
    "-": (("sell", "sells"), ("lose", "loses"), ("eat", "eats"), ("drop", "drops")),
    "*": (("multiply", "multiplies"), ("scale", "scales")),
    "/": (("divide", "divides"), ("split", "splits")),
}

# A stem has one vowel and begins and ends in consonants, and every ending begins with a vowel, so no stem is the beginning of
# another verb's form: a tokenizer that takes the longest piece first always cuts between stem and ending.
_ONSETS = _words("b br d dr f fl fr g gl gr h j k kl kr l m n p pl pr r s sk sl sm sn sp st t tr v vr w y z zw")
_VOWELS = tuple("aeiou")
_CODAS = _words("b bl d f g k ld lf lk lm lp lt m mb mp n nd ng nk nt p r rb rd rg rk rm rn rt s sk sp st t v x z")
#: Stems that alone or with one of the endings are or resemble a word of English (`has`, `donate`, `travel`) or an insult.
_ENGLISH = frozenset(
    _words("""
    bab bag bak balk band bank barb bas bat baz bend bent best bev bez bik bild bind bir bird bit bold bolt bon bor bord bov box
    brand brav brem bring brok brun bulk bump bunk burd burg burn bust damp dang dar dark dat deb def delt den denk dep der des
    desk det dev dex dik dim ding dip dir disp div diz don dop dord dorm dos doz dring drink driv drop drov drunk dumb dump dund
    dunk dusk dust fag fak falt farg farm fast fat fax faz fer fest fev fib fig filt fin find fing firm fit fix flab flang flint
    fold fop fork form fort fost fov fram fras frig frik frost froz frut fuk fum fus gam gand gard garn gart gasp geb geg geld
    gelt gen gend ger ges get gid gig gild gim ging gip giv glad glev glov glut gof gold golf gosp grad gram grand grav grind gris
    grov grump gulp gumb gut hab habl halt hamp hank hard has hast hat hav haz heb hed help her hert het hif hik hind hint hip hit
    hiv hold hom hon hop hor horn hos hot hov hub hulk hump hunt hur husk jan jap jasp jed jest jit jiz jok jolt juld jump junk
    just kalm kam kat kelt ker kern kes kik kilt kin kit klag klamp klink klov kod kok kom kont korn krap krav krek krisp kud kunt
    lab lad lag lalt lam land larg las last lat lax laz leb leg len lenk lern lev lex lez lib lig lik lin ling link lint lisp list
    lit liv lold lom long lop los lot lov lud lum lump lurk lust mak mand mant mark mask mast mat mav melt memb merg mert met mild
    milk min mind ming mist mit mix mod mold molt mop morg mos mov mud muk mund murd must mut nam nav naz neb neg neld nent nep
    ner nest nev nig nik nip nit niv nof nom nond nos not nov num numb pag pak palm pamp pan pand pap par pard park past pav pert
    pest pet pex pid ping pink pir pis pisk pit pix plab plag plant plast plumb plump plung pod pok pon pond pop port pos post pot
    praz pred pref prep pres prik prim print priv prob prop prosp prov pruf prun prur puk pulp pump pur pus put rag rak ram rank
    rap rar rast rat rav reb ref reg rend rent rep res rest rev rid rip ris risk riv riz rog rok rolf ros rot rov rub rum rung
    rust rut sab saf sag sak salt san sand sap sat sav sax sem semp send sent ses sev sex sid silk simp sing sink sir sist siz
    skak skimp slat slav slent slev slex slid sling sliv slov slug slumb slump slut smart smelt smemb smok smut snip snor snort
    snov snum sob sold som sord sort spank spar spelk spid spik spin spok spos stabl stag stamp stand stark start stat sten step
    stet stev stilt stim stink stok stomp stor stov stunt subl sulf sulk sumb sund sung sunk sup sur surg sus tabl tak talk tam
    tamp tank tap tard tem temp ten tend term test tet tex tig tilt tim tink tip tir tit tiv tod tok ton tont top tort trad trag
    tramp trang trank trav trem tret trist trug trump trust tub tum tun turn tusk vad vand vat ver verb verd vesp vip vit viv vor
    vorn vot vox vrot wag wak walk wand war warm warn wat web wed weg welt wer werd west wid win wing wink wint wip wirk wis wog
    wok wolf wom wond word work wov wurd yem yest yint yov zat zerk zip zord zwing
    """)
)


class Verb(NamedTuple):
    """A verb of frequency rank `rank` (0 is the commonest) that does `operator`, one of `+ - * /`, to the amount."""

    rank: int
    stem: str
    ending: int
    operator: str

    @property
    def plain(self) -> str:
        return self.stem + ENDINGS[self.ending][0]

    @property
    def third(self) -> str:
        return self.stem + ENDINGS[self.ending][1]

    @property
    def keeps(self) -> bool:
        """Whether the ending is one of the operation's own two."""
        return OPERATORS[self.ending // 2] == self.operator


def stems() -> Iterator[str]:
    """All stems in a seeded order, none of which makes an English word."""
    for stem in Draw(SEED).shuffled([a + b + c for a in _ONSETS for b in _VOWELS for c in _CODAS]):
        if stem not in _ENGLISH and stem not in {name.lower() for name in NAMES}:
            yield stem


@cache
def verbs() -> tuple[Verb, ...]:
    """All verbs, the commonest first; operations are equally likely at every rank."""
    draw, found = Draw(SEED + 1), []
    for rank, stem in zip(range(VERBS), stems(), strict=False):
        own = draw.below(len(OPERATORS))
        keeps = draw.random() < (COMMON_KEEP if rank < COMMON else RARE_KEEP)
        other = draw.choice([operation for operation in range(len(OPERATORS)) if operation != own])
        found.append(Verb(rank, stem, 2 * (own if keeps else other) + draw.below(2), OPERATORS[own]))
    return tuple(found)


@cache
def meanings() -> dict[str, str]:
    """Third person of every verb, invented and everyday, and the operation that it means."""
    real = {third: operator for operator, forms in EVERYDAY.items() for _, third in forms}
    return {**{verb.third: verb.operator for verb in verbs()}, **real}


__all__ = [
    "ENDINGS",
    "EVERYDAY",
    "LARGEST",
    "NAMES",
    "OBJECTS",
    "OPERATORS",
    "VERBS",
    "Draw",
    "Verb",
    "meanings",
    "stems",
    "verbs",
]
