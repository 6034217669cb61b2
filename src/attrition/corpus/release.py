"""Constants of MASSIVE 1.1: address, licence, locales, slots, intents and counts.

Source: FitzGerald et al. 2023, "MASSIVE: A 1M-Example Multilingual Natural Language Understanding Dataset with 51
Typologically-Diverse Languages", and release 1.1, which added Catalan.
"""

from __future__ import annotations

from attrition.corpus.base import SPLITS, Split


def _names(block: str) -> tuple[str, ...]:
    return tuple(block.split())


REVISION = "1.1"
ARCHIVE = "amazon-massive-dataset-1.1.tar.gz"
ADDRESS = f"https://amazon-massive-nlu-dataset.s3.amazonaws.com/{ARCHIVE}"
LICENCE = "CC BY 4.0"
CITATION = (
    "Jack FitzGerald et al. 2023. MASSIVE: A 1M-Example Multilingual Natural Language Understanding Dataset with 51 "
    "Typologically-Diverse Languages. ACL 2023. Derived in part from SLURP: Emanuele Bastianelli et al. 2020. SLURP: A Spoken "
    "Language Understanding Resource Package. EMNLP 2020."
)

FINGERPRINT = "b90766ad5735d5e4473821ce6fae8143fabd033c6746d3cb814065ddbff1aeb5"
"""The fingerprint (see `Massive.fingerprint`) of the release's 52 files, byte for byte."""

COUNTS: dict[Split, int] = dict(zip(SPLITS, (11_514, 2_033, 2_974), strict=True))
"""Utterances of each split, the same in every locale."""

LOCALES = _names(
    """
    af-ZA am-ET ar-SA az-AZ bn-BD ca-ES cy-GB da-DK de-DE el-GR en-US es-ES fa-IR fi-FI fr-FR he-IL hi-IN hu-HU hy-AM id-ID
    is-IS it-IT ja-JP jv-ID ka-GE km-KH kn-IN ko-KR lv-LV ml-IN mn-MN ms-MY my-MM nb-NO nl-NL pl-PL pt-PT ro-RO ru-RU sl-SL
    sq-AL sv-SE sw-KE ta-IN te-IN th-TH tl-PH tr-TR ur-PK vi-VN zh-CN zh-TW
    """
)
"""The 52 locales."""

CHARACTER_LOCALES = frozenset({"ja-JP", "zh-CN", "zh-TW"})
"""Locales whose annotation has blanks that are not in the text; by default they are cut into characters."""

SLOTS = _names(
    """
    alarm_type app_name artist_name audiobook_author audiobook_name business_name business_type change_amount coffee_type
    color_type cooking_type currency_name date definition_word device_type drink_type email_address email_folder event_name
    food_type game_name game_type general_frequency house_place ingredient joke_type list_name meal_type media_type movie_name
    movie_type music_album music_descriptor music_genre news_topic order_type person personal_info place_name player_setting
    playlist_name podcast_descriptor podcast_name radio_name relation song_name sport_type time time_zone timeofday
    transport_agency transport_descriptor transport_name transport_type weather_descriptor
    """
)
"""The 55 slot names, sorted."""

INTENTS = _names(
    """
    alarm_query alarm_remove alarm_set audio_volume_down audio_volume_mute audio_volume_other audio_volume_up calendar_query
    calendar_remove calendar_set cooking_query cooking_recipe datetime_convert datetime_query email_addcontact email_query
    email_querycontact email_sendemail general_greet general_joke general_quirky iot_cleaning iot_coffee iot_hue_lightchange
    iot_hue_lightdim iot_hue_lightoff iot_hue_lighton iot_hue_lightup iot_wemo_off iot_wemo_on lists_createoradd lists_query
    lists_remove music_dislikeness music_likeness music_query music_settings news_query play_audiobook play_game play_music
    play_podcasts play_radio qa_currency qa_definition qa_factoid qa_maths qa_stock recommendation_events
    recommendation_locations recommendation_movies social_post social_query takeaway_order takeaway_query transport_query
    transport_taxi transport_ticket transport_traffic weather_query
    """
)
"""The 60 intents, sorted."""
