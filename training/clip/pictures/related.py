"""Related words for nouns that are not a single token of the language model, such as "peacock".

Contract: noun -> related words, most related first. Every word was checked to be in the overlap of CLIP's and SmolLM2's
vocabularies; words that another language model lacks are not used.
"""

_TABLE = """
rosella: parrot bird; peahen: female white; tux: friends penguins; blackbird: song black; cuckoo: clock nest
drake: pond lake; gander: goose geese; lark: morning singer; magpie: thief tail jewelry; rhea: runner
ostrich: desert legs; pelican: fishing coastal; peacock: feathers tail proud display; quetzal: tropical rainforest
seagull: coast shore harbor; toucan: beak jungle tropical; vulture: prey; heron: wings lake; flamingo: pink
lorikeet: rainbow parrot; rooster: colorful morning; fowl: farmer feathers; groper: blue
butterflyfish: reef aquarium coral; clownfish: aquarium coral; dolphinfish: ocean; lionfish: poison poisonous
seahorse: marine aquatic; woodlouse: bug beetle insect; dragonfly: wings insect; ladybug: spots insect
hornet: sting wasp; grasshopper: grass cricket; hoverfly: bees drone; mantis: prayer predator; xanthia: moth
iguana: lizard reptile; chimpanzee: ape monkey; tamarin: monkey emperor; orca: killer whales; otter: river
badger: mammal; gnu: herd; blackbuck: horns; mountaingoat: mountain; yak: hair; zebu: cattle ox
dromedary: desert arab; doe: female; wapiti: elk; dingo: wolf; echidna: nose; hedgehog: spikes; hippopotamus: mud
marmot: fur; koala: bear; wombat: digging; abalone: shell pearl; mussel: clam; sombrero: hats; scarf: wool knit winter
fedora: gentleman; apricot: fruit; strawberry: berries berry; raspberry: berry; prune: plum; kiwifruit: kiwi
cherimoya: fruit; pecan: nuts; yam: sweet; binoculars: lens vision; cello: orchestra strings; bassoon: wooden
lightbulb: lamp; mug: coffee; teapot: tea; nutcracker: nut ballet; pliers: grip tool; toilet: bathroom
syringe: injection needle vaccine; stethoscope: doctor; fireman: rescue; paratrooper: soldier parachute
raptor: fighter jet; apc: tank; shell: bomb; mermaid: sea; snowman: snow; adenium: succulent; anthurium: petals
appooppan: seed; balsam: blossom; hibiscus: petals; daffodil: spring; marigold: petals; gazania: petals
petunia: petals; pigface: purple; cep: fungus mushrooms fungi; pinecone: cone pine; santa: beard; claus: beard
bluebird: bird; gravestone: buried; headstone: tomb; tombstone: memorial; jack: pumpkin; dreidel: spin
menorah: candles; confetti: celebration; venus: planet; jupiter: storm; saturn: rings; uranus: gas; neptune: god
pluto: dwarf; spacewalk: astronaut; voyager: satellite; shipwreck: wreck; igloo: ice; jailhouse: jail prison
tepee: native; windmill: wind mill; graveyard: cemetery; obelisk: monument; inukshuk: rocks; roundabout: circle
mailbox: mail letter; dumper: construction; caboose: railway; clothespin: laundry; boxcar: cargo; tugboat: boat
tricycle: bicycle; ferret: pet
"""

RELATED = {
    noun.strip(): words.split()
    for noun, _, words in (entry.partition(":") for line in _TABLE.strip().splitlines() for entry in line.split(";"))
}
