"""Words that fit every text: what a canned answer is made of, because it has to fit every prompt.

Three kinds, written for this project: words that name nothing in particular, words that judge without saying what for,
and words about the writing itself ("this story will", "the reader learns", "full marks").
"""

from __future__ import annotations

from thinkaloud.domains.wording import stem

_NOTHING_IN_PARTICULAR = """
thing things something anything everything stuff way ways kind kinds type types part parts place places time times day
moment life world people person everybody everyone someone anyone others man woman case point fact facts detail details
information situation experience event events feature features aspect aspects level area result results reason
reasons purpose goal goals step steps process number amount lot lots piece end beginning middle start whole
happen happens happened become becomes became make makes made making get gets got getting give gives gave given go goes
went going come comes came coming take takes took taken keep keeps put use uses used using need needs needed want
wants wanted try tries tried help helps helped helping know knows knew known think thinks thought see sees saw seen look
looks looked feel feels felt feeling feelings find finds found show shows showed shown say says said tell tells told
talk talks talked call called seem seems seemed mean means change changes changed begin begins began explain explains
explained describe describes described appear appears stay stays stayed live lives lived learn learns learned
understand realize remember believe enjoy enjoys love loves loved like likes include includes consider create
different various certain possible able general overall finally eventually suddenly really truly simply actually
today every day always together ever own
"""
_JUDGEMENT = """
good better best great greatest nice wonderful amazing awesome beautiful special interesting important perfect fantastic
incredible unique creative clear complete useful helpful happy sad fun easy hard simple strong powerful bad worse worst
true real deep high quality value care success successful positive meaningful memorable surprising engaging exciting
fascinating lovely excellent brilliant remarkable vivid rich
"""
_WRITING = """
story stories tale poem text article passage piece answer answers question task prompt reader readers writer author
character characters plot scene setting sentence sentences paragraph word words topic subject theme idea ideas list
summary main introduction introduce conclusion ending lesson message moral title format tag tags
requirement requirements instruction instructions response reward score marks mark grade full correct deserve deserves
write writes writing wrote read reads discuss discusses mention mentions
"""

WRITING = frozenset(stem(word) for word in _WRITING.split())
"""Stems of words about the writing itself."""

VAGUE = frozenset(stem(word) for word in f"{_NOTHING_IN_PARTICULAR} {_JUDGEMENT} {_WRITING}".split())
"""Stems of all of them."""
